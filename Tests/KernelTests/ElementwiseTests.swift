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
          apus_pairs(apus_pair_add, count, a, false, b, false, results[0].start)
          apus_pairs(apus_pair_multiply, count, a, false, b, false, results[1].start)
          apus_relu(count, a, results[2].start)
          apus_pairs(apus_pair_add, count, inPlace.start, false, b, false, inPlace.start)
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
        level.run {
          for index in 0..<5 {
            apus_pairs(
              apus_pair_add, columns, x.start + index * x.stride, false, row, false,
              y.start + index * y.stride)
          }
        }
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
