import CApusKernels

/// 8-bit numbers for floats, by one scale and one zero point.
struct QuantizeKernel: StepKernel {
  private let element: ElementType
  private let count: Extent
  private let hasZero: Bool

  init?(_ quantize: QuantizeLinear, _ types: KernelTypes) {
    guard types.isFloat32(0), types.hasOneScale, quantize.block == 0,
      QuantizationInputs.elements.contains(types.outputs[0].element)
    else { return nil }
    element = types.outputs[0].element
    count = types.outputCount
    hasZero = types.inputs.count > 2 && types.inputs[2] != nil
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    var quantization = run.quantization(element, hasZero: hasZero)
    apus_quantize(count.resolved(rows: rows), run.floats(0), &quantization, run.output)
  }

  var description: String { "QuantizeLinear" }
}

/// Floats for 8-bit numbers, by one scale and one zero point.
struct DequantizeKernel: StepKernel {
  private let element: ElementType
  private let count: Extent
  private let hasZero: Bool

  init?(_ dequantize: DequantizeLinear, _ types: KernelTypes) {
    guard let element = types.inputs[0]?.element, QuantizationInputs.elements.contains(element),
      types.hasOneScale, dequantize.block == 0
    else { return nil }
    self.element = element
    count = types.outputCount
    hasZero = types.inputs.count > 2 && types.inputs[2] != nil
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    var quantization = run.quantization(element, hasZero: hasZero)
    apus_dequantize(count.resolved(rows: rows), run.bytes(0), &quantization, run.output)
  }

  var description: String { "DequantizeLinear" }
}

/// 8-bit numbers for floats, by their range.
struct DynamicQuantizeKernel: StepKernel {
  private let count: Extent

  init?(_ types: KernelTypes) {
    guard types.isFloat32(0), types.outputs.count == 3 else { return nil }
    count = types.inputs[0]?.count ?? Extent(0)
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    let count = count.resolved(rows: rows)
    let outputs = run.step.outputs
    var found = apus_dynamic_quantization(count, run.floats(0))
    apus_quantize(count, run.floats(0), &found, run.memory.address(outputs[0].location))
    run.memory.address(outputs[1].location).storeBytes(of: found.scale, as: Float.self)
    run.memory.address(outputs[2].location).storeBytes(
      of: UInt8(truncatingIfNeeded: found.zero), as: UInt8.self)
  }

  var description: String { "DynamicQuantizeLinear" }
}

extension KernelTypes {
  /// Whether the second input is one scale for all, and the third, if it is there, one zero point.
  fileprivate var hasOneScale: Bool {
    guard isFloat32(1), let scale = inputs[1], scale.shape.count <= 1, scale.count == Extent(1) else {
      return false
    }
    return inputs.count < 3 || inputs[2].map { $0.count == Extent(1) } ?? true
  }
}

extension StepRun {
  /// What the second and the third input say.
  fileprivate func quantization(_ element: ElementType, hasZero: Bool) -> apus_quantization {
    let isSigned = element == .int8
    return Quantization(
      scale: floats(1)?.pointee ?? 1, zero: hasZero ? integer(2, isSigned: isSigned) : 0, element: element
    ).forKernels
  }
}
