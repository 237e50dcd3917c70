import CApusKernels
import Testing

/// A pool in double precision: what each place of a plane gives.
private func pooled(
  _ kind: apus_pool_kind, _ height: apus_axis, _ width: apus_axis, _ plane: UnsafePointer<Float>
) -> [Double] {
  /// Places of a window's elements, and how many of them lie on the input or its padding.
  func lines(_ axis: apus_axis, _ place: Int) -> (inside: [Int], count: Int) {
    let all = (0..<axis.kernel).map { place * axis.stride + $0 * axis.dilation - axis.before }
    return (all.filter { 0..<axis.input ~= $0 }, all.count { $0 < axis.input + axis.after })
  }
  return (0..<height.output * width.output).map { index in
    let (rows, columns) = (lines(height, index / width.output), lines(width, index % width.output))
    let values = rows.inside.flatMap { row in columns.inside.map { Double(plane[row * width.input + $0]) } }
    if kind == apus_pool_maximum {
      return values.contains { $0.isNaN } ? .nan : values.max() ?? -.infinity
    }
    let count = kind == apus_pool_average ? values.count : rows.count * columns.count
    return values.isEmpty ? 0 : values.reduce(0, +) / Double(count)
  }
}

private func isClose(_ value: Float, _ exact: Double) -> Bool {
  if value.isNaN || exact.isNaN { return value.isNaN && exact.isNaN }
  return Double(value) == exact || (Double(value) - exact).magnitude < 1e-6
}

extension KernelTests {
  @Suite struct PoolTests {
    private static let kinds = [apus_pool_maximum, apus_pool_average, apus_pool_padded_average]

    private func check(_ height: apus_axis, _ width: apus_axis, planes: Int, _ random: inout Random) {
      let plane = height.input * width.input
      let x = GuardedRows(random.floats(planes * plane))
      for _ in 0..<random.integer(0...3) {
        x[0, random.integer(0...planes * plane - 1)] = [.nan, .infinity, -.infinity][random.integer(0...2)]
      }
      for kind in Self.kinds {
        let expected = (0..<planes).flatMap { pooled(kind, height, width, x.start + $0 * plane) }
        for level in TestedLevel.available {
          level.run {
            let y = GuardedRows(columns: expected.count)
            withUnsafePointer(to: height) { height in
              withUnsafePointer(to: width) { width in
                let scratch = GuardedRows(columns: apus_pool_scratch_floats(height, width))
                apus_pool(kind, planes, height, width, x.start, y.start, scratch.start)
                #expect(scratch.guardsAreWhole)
              }
            }
            #expect(
              zip(y.row(0), expected).allSatisfy(isClose) && y.guardsAreWhole,
              "\(level), \(kind), \(planes) of \(height.text) by \(width.text)")
          }
        }
      }
    }

    /// Any window, no pad of which holds all of it; sometimes one place more, as `ceil_mode` asks for.
    private func axis(_ random: inout Random, input: ClosedRange<Int>) -> apus_axis {
      while true {
        var axis = apus_axis.random(&random, input: input, kernel: 1...4)
        guard max(axis.before, axis.after) <= (axis.kernel - 1) * axis.dilation else { continue }
        if random.flag(), axis.output * axis.stride < axis.input + axis.before { axis.output += 1 }
        return axis
      }
    }

    @Test func windowsOfAllKindsAgreeWithTheReference() {
      var random = Random(seed: 31)
      for _ in 0..<80 {
        check(
          axis(&random, input: 1...9), axis(&random, input: 1...37), planes: random.integer(1...3), &random)
      }
    }

    @Test func linesAndWholeVectorsAgreeWithTheReference() {
      var random = Random(seed: 32)
      for width in [8, 16, 24, 32, 33, 48] {
        check(apus_axis(6, 2, stride: 2), apus_axis(width, 2, stride: 2), planes: 2, &random)
        check(
          apus_axis(5, 3, stride: 2, before: 1, after: 1),
          apus_axis(width, 3, stride: 2, before: 1, after: 1),
          planes: 2, &random)
        check(apus_axis(1, 1), apus_axis(width, 3), planes: 3, &random)
      }
    }

    @Test(arguments: TestedLevel.available)
    func wholeRowsBecomeOneNumber(level: TestedLevel) {
      var random = Random(seed: 33)
      for columns in Array(1...70) + [196, 1001] {
        let x = GuardedRows(random.floats(3 * columns))
        x[0, columns + random.integer(0...columns - 1)] = .nan
        for kind in [apus_pool_maximum, apus_pool_average] {
          let y = GuardedRows(columns: 3)
          level.run { apus_pool_rows(kind, 3, columns, x.start, y.start) }
          let rows = (0..<3).map { row in (0..<columns).map { Double(x[0, row * columns + $0]) } }
          for (row, values) in rows.enumerated() where row != 1 {
            let exact = kind == apus_pool_maximum ? values.max() ?? 0 : values.reduce(0, +) / Double(columns)
            #expect(isClose(y[0, row], exact), "\(columns)")
          }
          #expect(y[0, 1].isNaN && y.guardsAreWhole)
        }
      }
    }
  }
}
