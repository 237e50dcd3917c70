import CApusKernels
import Glibc
import Testing

extension KernelTests {
  @Suite struct FeatureTests {
    @Test(arguments: TestedLevel.available) func rowsAreScaledExactly(level: TestedLevel) {
      var random = Random(seed: 31)
      for columns in [1, 3, 4, 7, 8, 15, 16, 17, 33, 70] {
        let x = GuardedRows(random.floats(3 * columns, -9...9), rows: 3, stride: columns + 2)
        let (offset, scale) = (random.floats(columns), random.floats(columns))
        for isOne in [false, true] {
          let y = GuardedRows(rows: 3, columns: columns, stride: columns + 1)
          level.run {
            apus_scale_features(
              apus_feature_float32, 3, columns, x.start, x.stride, offset, scale, isOne, y.start, y.stride)
          }
          for row in 0..<3 {
            for column in 0..<columns {
              let place = isOne ? 0 : column
              let exact = (Double(x[row, column]) - Double(offset[place])) * Double(scale[place])
              #expect(y[row, column] == Float(exact))
            }
          }
          #expect(y.guardsAreWhole)
        }
      }
    }

    @Test(arguments: TestedLevel.available) func wholeNumbersAreNormalized(level: TestedLevel) {
      var random = Random(seed: 32)
      for columns in [1, 4, 7, 8, 16, 17, 70] {
        let zeros = [Int64](repeating: 0, count: columns)
        let x = (0..<columns).map { _ in Int64(random.integer(-9...9)) } + zeros
        let sums = (
          x.map { Double($0) }.prefix(columns).max() ?? 0, x.reduce(0.0) { $0 + abs(Double($1)) },
          x.reduce(0.0) { $0 + Double($1 * $1) }.squareRoot()
        )
        for (norm, divisor) in [
          (apus_norm_greatest, sums.0), (apus_norm_absolute, sums.1), (apus_norm_euclidean, sums.2),
        ] {
          let y = GuardedRows(rows: 2, columns: columns, stride: columns + 3)
          level.run {
            apus_normalize_features(norm, apus_feature_int64, 2, columns, x, columns, y.start, y.stride)
          }
          for column in 0..<columns {
            let expected = divisor == 0 ? Double(x[column]) : Double(x[column]) / divisor
            #expect(abs(Double(y[0, column]) - expected) <= 1e-7 * abs(expected))
            #expect(y[1, column] == 0)
          }
          #expect(y.guardsAreWhole)
        }
      }
    }

    @Test(arguments: TestedLevel.available) func distancesLoseNoDigits(level: TestedLevel) {
      var random = Random(seed: 33)
      for (inputs, outputs) in [(1, 1), (3, 15), (4, 16), (7, 17), (64, 33), (129, 5)] {
        let x = GuardedRows(
          random.floats(5 * inputs).map { $0 + 1000 }, rows: 5, stride: inputs + random.integer(0...3))
        let vectors = random.floats(outputs * inputs).map { $0 + 1000 }
        var packed = [Float](repeating: 0, count: apus_linear_packed_floats(inputs, outputs))
        let y = GuardedRows(rows: 5, columns: outputs, stride: outputs + 2)
        level.run {
          apus_linear_pack(vectors, false, outputs, inputs, &packed)
          apus_distances(5, inputs, outputs, x.start, x.stride, packed, -0.25, y.start, y.stride)
        }
        for row in 0..<5 {
          for output in 0..<outputs {
            var exact = 0.0
            for input in 0..<inputs {
              let apart = Double(x[row, input]) - Double(vectors[output * inputs + input])
              exact -= 0.25 * apart * apart
            }
            #expect(abs(Double(y[row, output]) - exact) <= 4e-6 * abs(exact))
          }
        }
        #expect(y.guardsAreWhole)
      }
    }

    @Test(arguments: TestedLevel.available) func dotsAreSummedInDoublePrecision(level: TestedLevel) {
      var random = Random(seed: 34)
      for count in [0, 1, 4, 7, 8, 16, 31, 32, 33, 500] {
        let (a, b) = (random.floats(count), random.floats(count))
        var exact = 0.0
        for place in 0..<count { exact += Double(a[place] * b[place]) }
        var found = Double.nan
        level.run { found = apus_dot(count, a, b) }
        #expect(abs(found - exact) <= 1e-13)
      }
    }
  }
}
