import CApusKernels
import Glibc
import Testing

extension KernelTests {
  @Suite struct RowTests {
    /// Rows of every small width, some wide ones, near 0 and far from it.
    private func logits(_ random: inout Random) -> [GuardedRows] {
      (Array(1...70) + [255, 1000, 4099]).map { columns in
        let size = exp(Float(random.integer(-3...5)))
        let offset: Float = random.flag() ? 0 : Float(random.integer(-1000...1000))
        let values = random.floats(3 * columns, -size...size).map { $0 + offset }
        return GuardedRows(values, rows: 3, stride: columns + random.integer(0...3))
      }
    }

    private struct Sums {
      var most = -Double.infinity
      var ofPowers = 0.0
      init(_ row: [Float]) {
        for value in row { most = max(most, Double(value)) }
        for value in row { ofPowers += exp(Double(value) - most) }
      }
    }

    @Test(arguments: TestedLevel.available)
    func softmaxIsWithinItsBound(level: TestedLevel) {
      var random = Random(seed: 9)
      for x in logits(&random) {
        let y = GuardedRows(rows: 3, columns: x.columns, stride: x.columns + 1)
        level.run { apus_softmax(3, x.columns, x.start, x.stride, y.start, y.stride) }
        for row in 0..<3 {
          let sums = Sums(x.row(row))
          let isClose = (0..<x.columns).allSatisfy { column in
            let below = Double(x[row, column]) - sums.most
            let exact = exp(below) / sums.ofPowers
            return unitsInLastPlace(y[row, column], exact) <= 3 - below
          }
          #expect(isClose, "\(x.columns)")
        }
        #expect(y.guardsAreWhole && x.guardsAreWhole)
        level.run { apus_softmax(3, x.columns, x.start, x.stride, x.start, x.stride) }
        #expect(x.bitPatterns == y.bitPatterns, "in place, \(x.columns)")
      }
    }

    @Test(arguments: TestedLevel.available)
    func logSoftmaxIsWithinItsBound(level: TestedLevel) {
      var random = Random(seed: 10)
      for x in logits(&random) {
        let y = GuardedRows(rows: 3, columns: x.columns, stride: x.columns + 1)
        level.run { apus_log_softmax(3, x.columns, x.start, x.stride, y.start, y.stride) }
        for row in 0..<3 {
          let sums = Sums(x.row(row))
          let isClose = (0..<x.columns).allSatisfy { column in
            let below = Double(x[row, column]) - sums.most
            let exact = below - log(sums.ofPowers)
            let greatest = max(1, -below, log(sums.ofPowers))
            return (Double(y[row, column]) - exact).magnitude <= 2 * greatest * 0x1p-23
          }
          #expect(isClose, "\(x.columns)")
        }
        #expect(y.guardsAreWhole && x.guardsAreWhole)
        level.run { apus_log_softmax(3, x.columns, x.start, x.stride, x.start, x.stride) }
        #expect(x.bitPatterns == y.bitPatterns, "in place, \(x.columns)")
      }
    }

    @Test(arguments: TestedLevel.available)
    func rowsWithoutProbabilitiesBecomeNaN(level: TestedLevel) {
      for columns in 1...40 {
        for place in [0, columns / 2, columns - 1] {
          var rows = [Float.nan, .infinity].map { special in
            (0..<columns).map { $0 == place ? special : Float($0) }
          }
          rows.append([Float](repeating: -.infinity, count: columns))
          for row in rows {
            let x = GuardedRows(row)
            let y = GuardedRows(columns: columns)
            level.run { apus_softmax(1, columns, x.start, columns, y.start, columns) }
            #expect(y.isNaN, "\(row)")
            level.run { apus_log_softmax(1, columns, x.start, columns, y.start, columns) }
            #expect(y.isNaN, "\(row)")
          }
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func finiteLogitsOfAnySizeGiveProbabilities(level: TestedLevel) {
      let greatest = Float.greatestFiniteMagnitude
      let x = GuardedRows([greatest, -greatest, 0, greatest, -.infinity])
      let y = GuardedRows(columns: 5)
      level.run { apus_softmax(1, 5, x.start, 5, y.start, 5) }
      #expect(y.row(0) == [0.5, 0, 0, 0.5, 0])
      level.run { apus_log_softmax(1, 5, x.start, 5, y.start, 5) }
      #expect(y[0, 0] == Float(-log(2.0)) && y[0, 1] == -.infinity && y[0, 4] == -.infinity)
    }

    @Test(arguments: TestedLevel.available)
    func layerNormIsWithinItsBound(level: TestedLevel) {
      var random = Random(seed: 11)
      for x in logits(&random) {
        let columns = x.columns
        let scale = random.flag() ? random.floats(columns) : nil
        let bias = random.flag() ? random.floats(columns) : nil
        let y = GuardedRows(rows: 3, columns: columns, stride: columns + 2)
        level.run { apus_layer_norm(3, columns, x.start, x.stride, 1e-5, scale, bias, y.start, y.stride) }
        for row in 0..<3 {
          let values = x.row(row).map { Double($0) }
          let mean = values.reduce(0, +) / Double(columns)
          let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
          let isClose = values.indices.allSatisfy { column in
            let scaled =
              (values[column] - mean) / (variance + Double(Float(1e-5))).squareRoot()
              * Double(scale?[column] ?? 1)
            let exact = scaled + Double(bias?[column] ?? 0)
            let unit = scaled.magnitude + mean.magnitude * 0x1p-20 / (variance + 1e-5).squareRoot()
            let allowed = 4 * unit * 0x1p-23 + exact.magnitude * 0x1p-24 + 1e-30
            return (Double(y[row, column]) - exact).magnitude <= allowed
          }
          #expect(isClose, "\(columns)")
        }
        #expect(y.guardsAreWhole && x.guardsAreWhole)
        level.run { apus_layer_norm(3, columns, x.start, x.stride, 1e-5, scale, bias, x.start, x.stride) }
        #expect(x.bitPatterns == y.bitPatterns, "in place, \(columns)")
      }
    }
  }
}
