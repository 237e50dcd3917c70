import CApusKernels
import Testing

extension KernelTests {
  @Suite struct PairTests {
    private static let functions: [(apus_pair, @Sendable (Float, Float) -> Float)] = [
      (apus_pair_add, { $0 + $1 }), (apus_pair_subtract, { $0 - $1 }), (apus_pair_multiply, { $0 * $1 }),
      (apus_pair_divide, { $0 / $1 }),
      (apus_pair_max, { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }),
      (apus_pair_min, { $0.isNaN || $1.isNaN ? .nan : min($0, $1) }),
    ]

    private func isSame(_ found: [Float], _ wanted: [Float]) -> Bool {
      zip(found, wanted).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN }
    }

    @Test(arguments: TestedLevel.available)
    func pairsOfEveryLength(level: TestedLevel) {
      var random = Random(seed: 20)
      for count in 1...70 {
        var (a, b) = (random.floats(count), random.floats(count))
        a[random.integer(0...count - 1)] = .nan
        b[random.integer(0...count - 1)] = random.flag() ? .nan : -.infinity
        for (pair, function) in Self.functions {
          for (aIsOne, bIsOne) in [(false, false), (true, false), (false, true), (true, true)] {
            let y = GuardedRows(columns: count)
            let inPlace = GuardedRows(a)
            level.run {
              apus_pairs(pair, count, a, aIsOne, b, bIsOne, y.start)
              if !aIsOne { apus_pairs(pair, count, inPlace.start, false, b, bIsOne, inPlace.start) }
            }
            let wanted = (0..<count).map { function(a[aIsOne ? 0 : $0], b[bIsOne ? 0 : $0]) }
            #expect(isSame(y.row(0), wanted) && y.guardsAreWhole, "\(pair) of \(count)")
            if !aIsOne { #expect(isSame(inPlace.row(0), wanted) && inPlace.guardsAreWhole) }
          }
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func choicesOfEveryLength(level: TestedLevel) {
      var random = Random(seed: 21)
      for count in 1...70 {
        let condition = (0..<count).map { _ in UInt8(random.flag() ? 0 : random.integer(1...255)) }
        let (a, b) = ((0..<count).map { UInt32($0) }, (0..<count).map { UInt32($0 + 1000) })
        for (aIsOne, bIsOne) in [(false, false), (true, false), (false, true), (true, true)] {
          var y = [UInt32](repeating: 7, count: count + 1)
          level.run { apus_select(count, condition, a, aIsOne, b, bIsOne, &y) }
          let wanted = (0..<count).map { condition[$0] != 0 ? a[aIsOne ? 0 : $0] : b[bIsOne ? 0 : $0] }
          #expect(y == wanted + [7])
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func exactFunctions(level: TestedLevel) {
      var random = Random(seed: 22)
      let special: [Float] = [.nan, .infinity, -.infinity, 0, -0.0, 0x1p-140, -0x1p-140, 3e38]
      for count in 1...40 {
        let x = special.prefix(count) + random.floats(max(0, count - special.count), -100...100)
        let results = (0..<3).map { _ in GuardedRows(columns: count) }
        level.run {
          apus_sqrt(count, Array(x), results[0].start)
          apus_reciprocal(count, Array(x), results[1].start)
          apus_square(count, Array(x), results[2].start)
        }
        #expect(isSame(results[0].row(0), x.map { $0.squareRoot() }))
        #expect(isSame(results[1].row(0), x.map { 1 / $0 }))
        #expect(isSame(results[2].row(0), x.map { $0 * $0 }))
        for result in results { #expect(result.guardsAreWhole) }
      }
    }

    @Test(arguments: TestedLevel.available)
    func numbersBecomeFloats(level: TestedLevel) {
      var random = Random(seed: 23)
      for count in 1...40 {
        let wide = (0..<count).map { _ in Int64(bitPattern: random.next()) >> random.integer(0...63) }
        let narrow = wide.map { Int32(truncatingIfNeeded: $0) }
        let bytes = wide.map { UInt8(truncatingIfNeeded: $0) }
        let results = (0..<4).map { _ in GuardedRows(columns: count) }
        level.run {
          apus_floats_of_int64(count, wide, results[0].start)
          apus_floats_of_int32(count, narrow, results[1].start)
          apus_floats_of_uint8(count, bytes, results[2].start)
          apus_floats_of_truths(count, bytes, results[3].start)
        }
        #expect(results[0].row(0) == wide.map { Float($0) })
        #expect(results[1].row(0) == narrow.map { Float($0) })
        #expect(results[2].row(0) == bytes.map { Float($0) })
        #expect(results[3].row(0) == bytes.map { $0 == 0 ? 0 : 1 })
        for result in results { #expect(result.guardsAreWhole) }
      }
    }
  }
}
