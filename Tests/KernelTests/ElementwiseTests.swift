import CApusKernels
import Testing

extension KernelTests {
  @Suite struct ElementwiseTests {
    @Test(arguments: TestedLevel.available)
    func sumsAndProductsOfEveryLength(level: TestedLevel) {
      var random = Random(seed: 12)
      for count in 0...70 {
        let (a, b) = (random.floats(count), random.floats(count))
        let results = (0..<3).map { _ in GuardedRows(columns: count) }
        let inPlace = GuardedRows(a)
        level.run {
          apus_add(count, a, b, results[0].start)
          apus_multiply(count, a, b, results[1].start)
          apus_relu(count, a, results[2].start)
          apus_add(count, inPlace.start, b, inPlace.start)
        }
        #expect(results[0].row(0) == zip(a, b).map { $0 + $1 })
        #expect(results[1].row(0) == zip(a, b).map { $0 * $1 })
        #expect(results[2].row(0) == a.map { max(0, $0) })
        #expect(inPlace.row(0) == results[0].row(0))
        for result in results + [inPlace] { #expect(result.guardsAreWhole) }
      }
    }

    @Test(arguments: TestedLevel.available)
    func aRowIsAddedToEachRow(level: TestedLevel) {
      var random = Random(seed: 13)
      for columns in [1, 4, 7, 8, 9, 16, 17, 35] {
        let x = GuardedRows(random.floats(5 * columns), rows: 5, stride: columns + 3)
        let row = random.floats(columns)
        let y = GuardedRows(rows: 5, columns: columns, stride: columns + 1)
        level.run { apus_add_row(5, columns, x.start, x.stride, row, y.start, y.stride) }
        for index in 0..<5 { #expect(y.row(index) == zip(x.row(index), row).map { $0 + $1 }) }
        #expect(y.guardsAreWhole)
      }
    }

    @Test(arguments: TestedLevel.available)
    func reluKeepsNaNAndLimits(level: TestedLevel) {
      let x = GuardedRows([.nan, .infinity, -.infinity, -1, 2])
      level.run { apus_relu(5, x.start, x.start) }
      #expect(x[0, 0].isNaN)
      #expect(x.row(0).dropFirst() == [.infinity, 0, 0, 2])
    }
  }
}
