import CApusKernels
import Testing

extension KernelTests {
  /// What is done along the middle axis of [outer, count, inner], and transposes.
  @Suite struct AxisTests {
    private struct Shape {
      let outer: Int
      let count: Int
      let inner: Int
      var all: Int { outer * count * inner }
      func column(_ x: [Float], _ outer: Int, _ inner: Int) -> [Float] {
        (0..<count).map { x[(outer * count + $0) * self.inner + inner] }
      }
    }

    private func shapes(_ random: inout Random) -> [Shape] {
      (Array(1...40) + [64, 67, 100, 129]).map { inner in
        Shape(outer: random.integer(1...3), count: random.integer(1...50), inner: random.flag() ? inner : 1)
      }
    }

    @Test(arguments: TestedLevel.available)
    func reductions(level: TestedLevel) {
      var random = Random(seed: 30)
      for shape in shapes(&random) {
        var x = random.floats(shape.all)
        if random.flag() { x[random.integer(0...shape.all - 1)] = .nan }
        for reduction in [apus_reduce_sum, apus_reduce_mean, apus_reduce_max, apus_reduce_min] {
          let y = GuardedRows(rows: shape.outer, columns: shape.inner)
          level.run { apus_reduce(reduction, shape.outer, shape.count, shape.inner, x, y.start) }
          let isClose = (0..<shape.outer * shape.inner).allSatisfy { place in
            let column = shape.column(x, place / shape.inner, place % shape.inner)
            let found = y[place / shape.inner, place % shape.inner]
            let exact = Self.exact(reduction, column)
            return found.isNaN && exact.isNaN || abs(Double(found) - exact) <= 1e-7 * max(1, abs(exact))
          }
          #expect(isClose && y.guardsAreWhole, "\(reduction) of \(shape)")
        }
      }
    }

    private static func exact(_ reduction: apus_reduction, _ numbers: [Float]) -> Double {
      if numbers.contains(where: \.isNaN) { return .nan }
      let sum = numbers.reduce(0.0) { $0 + Double($1) }
      switch reduction {
      case apus_reduce_sum: return sum
      case apus_reduce_mean: return sum / Double(numbers.count)
      case apus_reduce_max: return numbers.reduce(-.infinity) { max($0, Double($1)) }
      default: return numbers.reduce(.infinity) { min($0, Double($1)) }
      }
    }

    @Test(arguments: TestedLevel.available)
    func reductionsOfNothing(level: TestedLevel) {
      for inner in [1, 5, 40] {
        for (reduction, wanted) in [
          (apus_reduce_sum, Float(0)), (apus_reduce_mean, .nan), (apus_reduce_max, -.infinity),
          (apus_reduce_min, .infinity),
        ] {
          let y = GuardedRows(columns: inner)
          level.run { apus_reduce(reduction, 1, 0, inner, [0], y.start) }
          #expect(y.row(0).allSatisfy { $0 == wanted || $0.isNaN && wanted.isNaN })
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func extremes(level: TestedLevel) {
      var random = Random(seed: 31)
      for shape in shapes(&random) {
        var x = random.floats(shape.all)
        if random.flag() { x[random.integer(0...shape.all - 1)] = .nan }
        let (low, high) = (
          GuardedRows(rows: shape.outer, columns: shape.inner),
          GuardedRows(rows: shape.outer, columns: shape.inner)
        )
        level.run { apus_extremes(shape.outer, shape.count, shape.inner, x, low.start, high.start) }
        for outer in 0..<shape.outer {
          for inner in 0..<shape.inner {
            let column = shape.column(x, outer, inner)
            let (least, most) = (low[outer, inner], high[outer, inner])
            if column.contains(where: \.isNaN) {
              #expect(least.isNaN && most.isNaN)
            } else {
              #expect(least == column.min() && most == column.max())
            }
          }
        }
        #expect(low.guardsAreWhole && high.guardsAreWhole)
      }
    }

    @Test(arguments: TestedLevel.available)
    func normsAreWithinTheirBound(level: TestedLevel) {
      var random = Random(seed: 32)
      for shape in shapes(&random) {
        let offset: Float = random.flag() ? 0 : Float(random.integer(-1000...1000))
        let x = random.floats(shape.all).map { $0 + offset }
        let scale = random.flag() ? random.floats(shape.count) : nil
        let bias = random.flag() ? random.floats(shape.count) : nil
        let y = GuardedRows(columns: shape.all)
        let inPlace = GuardedRows(x)
        level.run {
          apus_axis_norm(shape.outer, shape.count, shape.inner, x, 1e-5, scale, bias, y.start)
          apus_axis_norm(
            shape.outer, shape.count, shape.inner, inPlace.start, 1e-5, scale, bias, inPlace.start)
        }
        for outer in 0..<shape.outer {
          for inner in 0..<shape.inner {
            let values = shape.column(x, outer, inner).map { Double($0) }
            let mean = values.reduce(0, +) / Double(shape.count)
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(shape.count)
            let isClose = values.indices.allSatisfy { place in
              let scaled =
                (values[place] - mean) / (variance + Double(Float(1e-5))).squareRoot()
                * Double(scale?[place] ?? 1)
              let exact = scaled + Double(bias?[place] ?? 0)
              let unit = scaled.magnitude + mean.magnitude * 0x1p-20 / (variance + 1e-5).squareRoot()
              let allowed = 4 * unit * 0x1p-23 + exact.magnitude * 0x1p-23 + 1e-30
              let found = y[0, (outer * shape.count + place) * shape.inner + inner]
              return (Double(found) - exact).magnitude <= allowed
            }
            #expect(isClose, "\(shape)")
          }
        }
        #expect(y.guardsAreWhole && inPlace.bitPatterns == y.bitPatterns)
      }
    }

    @Test(arguments: TestedLevel.available)
    func theGreatest(level: TestedLevel) {
      var random = Random(seed: 33)
      for columns in 1...70 {
        var x = (0..<3 * columns).map { _ in Float(random.integer(0...4)) }
        if random.flag() { x[random.integer(0...x.count - 1)] = .nan }
        for selectsLast in [false, true] {
          var y = [CLongLong](repeating: -1, count: 4)
          level.run { apus_arg_max(3, columns, x, selectsLast, &y) }
          for row in 0..<3 {
            var best = 0
            let values = Array(x[row * columns..<(row + 1) * columns])
            for place in values.indices.dropFirst()
            where values[place] > values[best] || selectsLast && values[place] == values[best] {
              best = place
            }
            #expect(y[row] == best)
          }
          #expect(y[3] == -1)
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func transposes(level: TestedLevel) {
      var random = Random(seed: 34)
      for _ in 0..<60 {
        let (rows, columns) = (random.integer(1...40), random.integer(1...40))
        let (from, to) = (columns + random.integer(0...5), rows + random.integer(0...5))
        let x = (0..<rows * from).map { UInt32($0) }
        let wide = x.map { UInt64($0) << 33 }
        var y = [UInt32](repeating: .max, count: columns * to)
        var wideY = [UInt64](repeating: .max, count: columns * to)
        level.run {
          apus_transpose_4(rows, columns, x, from, &y, to)
          apus_transpose_8(rows, columns, wide, from, &wideY, to)
        }
        let isRight = y.indices.allSatisfy { place in
          let (column, row) = (place / to, place % to)
          return y[place] == (row < rows ? x[row * from + column] : .max)
            && wideY[place] == (row < rows ? wide[row * from + column] : .max)
        }
        #expect(isRight, "\(rows) x \(columns)")
      }
    }
  }
}
