/// Pad with one value: the result is filled with it, and the input copied inside.
struct PadKernel: StepKernel {
  private let fill: Move
  private let copy: Move
  /// The place of the value among the inputs; nil: it is `value`.
  private let valueInput: Int?
  private let value: SIMD2<UInt64>
  let description = "Pad"

  init?(_ padding: Padding, _ types: KernelTypes) {
    guard padding.mode == .constant, let input = types.inputs[0], let output = types.outputs.first,
      let befores = padding.befores(types)
    else { return nil }
    var axes: [BatchAxis] = []
    var (source, target) = (Extent(0), Extent(0))
    let (from, to) = (Extent.strides(of: input.shape), Extent.strides(of: output.shape))
    for axis in input.shape.indices {
      let (before, size, result) = (befores[axis], input.shape[axis], output.shape[axis])
      // Starts are sums of products, of which none may grow with the batch while another does not.
      guard size.isPerRow == result.isPerRow, !size.isPerRow || before == 0 && size == result,
        before == 0 || !from[axis].isPerRow && !to[axis].isPerRow
      else { return nil }
      let shared = min(size.count - max(0, -before), result.count - max(0, before))
      axes.append(BatchAxis(size: Extent(max(0, shared), isPerRow: size.isPerRow)))
      // Pads that leave nothing of the input may be any numbers.
      guard shared > 0 else { continue }
      axes[axis].strides.set(0, from[axis])
      axes[axis].strides.set(1, to[axis])
      source = Extent(source.count + max(0, -before) * from[axis].count)
      target = Extent(target.count + max(0, before) * to[axis].count)
    }
    let bytes = input.element.byteCount
    copy = Move(axes: axes, sourceStart: source, targetStart: target, elementBytes: bytes)
    var all = BatchAxis(size: output.count)
    all.strides.set(1, Extent(1))
    fill = Move(axes: [all], elementBytes: bytes)
    valueInput = types.inputs.count > 2 && types.inputs[2] != nil ? 2 : nil
    switch (padding.fixedValue ?? 0, input.element) {
    case (0, _): value = .zero
    case (let number, .float32): value = SIMD2(UInt64(number.bitPattern), 0)
    case (let number, .float64): value = SIMD2(Double(number).bitPattern, 0)
    default: return nil
    }
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.address(0) else { return }
    if let valueInput, let value = run.address(valueInput) {
      fill.run(rows: rows, from: value, to: run.outputAddress(0))
    } else {
      withUnsafeBytes(of: value) { value in
        guard let start = value.baseAddress else { return }
        fill.run(rows: rows, from: start, to: run.outputAddress(0))
      }
    }
    copy.run(rows: rows, from: input, to: run.outputAddress(0))
  }
}

extension Padding {
  /// What is added before each dimension, or cut off where negative; nil where that is not known.
  fileprivate func befores(_ types: KernelTypes) -> [Int]? {
    guard let input = types.inputs[0] else { return nil }
    do throws(GraphError) {
      let known = try types.known(rows: 1)
      let rank = input.shape.count
      let pads = try self.pads.required(known)
      let axes = try self.axes.read(known) ?? Array(0..<rank)
      guard pads.count == 2 * axes.count else { return nil }
      var befores = [Int](repeating: 0, count: rank)
      for (place, axis) in axes.enumerated() {
        guard let axis = input.axis(axis) else { return nil }
        befores[axis] = pads[place]
      }
      return befores
    } catch { return nil }
  }
}
