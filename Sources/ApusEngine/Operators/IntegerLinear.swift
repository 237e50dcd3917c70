/// How 8-bit numbers stand for real ones, the same for all of a tensor: (q - zero) · scale.
struct Quantization: Equatable, Sendable {
  let scale: Float
  let zero: Int32
  /// int8 or uint8.
  let element: ElementType

  var low: Int32 { element == .int8 ? -128 : 0 }
  var high: Int32 { element == .int8 ? 127 : 255 }

  init(scale: Float, zero: Int32, element: ElementType) {
    (self.scale, self.zero, self.element) = (scale, zero, element)
  }

  /// nil where they are no constants of one number each, of 8 bits.
  init?(scale: Tensor?, zero: Tensor?, element: ElementType) {
    guard QuantizationInputs.elements.contains(element), let scale, scale.type.element == .float32,
      scale.type.count == 1, scale.type.rank <= 1,
      zero.map({ $0.type.count == 1 && $0.type.element == element }) ?? true
    else { return nil }
    self.scale = scale.view.elements(Float.self)[0]
    self.zero = zero.map { $0.integersOf8Bits[0] } ?? 0
    self.element = element
  }

  /// The number of 8 bits for one in units of the scale.
  func rounded(_ value: Float) -> Int32 {
    element == .int8
      ? Int32(Int8(rounding: value, zero: Int8(truncatingIfNeeded: zero)))
      : Int32(UInt8(rounding: value, zero: UInt8(truncatingIfNeeded: zero)))
  }
}

/// A linear layer of 8-bit numbers: what the operators around MatMulInteger, QLinearMatMul, and a Gemm or
/// MatMul of dequantized numbers are together. Inputs: X [..., inputs], W of 8 bits, W's scales, its zero
/// points and the bias [outputs] in float32, of which the last two may be left out.
struct IntegerLinear: Operator {
  enum Input: Equatable {
    /// X is float32, and quantized by its range.
    case dynamic
    case fixed(Quantization)
  }

  enum Output: Equatable {
    case floats
    /// The numbers of `step`.
    case step
    case rounded(Quantization)
  }

  /// Whether W is [inputs, outputs] and not [outputs, inputs].
  let isTransposed: Bool
  let input: Input
  /// What sums are rounded to before bias and activation, as QLinearMatMul does.
  var step: Quantization?
  var activation = FusedActivation.none
  var output = Output.floats
  var name: String { "IntegerLinear" }

  var outputElement: ElementType {
    switch output {
    case .floats: .float32
    case .step: step?.element ?? .uint8
    case .rounded(let quantization): quantization.element
    }
  }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    let weights = try inputs.required(1, "W")
    let element: ElementType
    switch self.input {
    case .dynamic: element = .float32
    case .fixed(let quantization): element = quantization.element
    }
    try input.require("X", [element])
    try weights.require("W", QuantizationInputs.elements)
    guard weights.shape.count == 2, let width = input.shape.last, width == weights.shape[isTransposed ? 0 : 1]
    else { throw GraphError("weights of shape \(weights.shape) do not fit rows of \(input.shape)") }
    let outputs = weights.shape[isTransposed ? 1 : 0]
    let scales = try inputs.required(2, "W's scales")
    try scales.require("W's scales", [.float32])
    try QuantizationInputs.check(scales, "W's scales", count: outputs, axis: .columns)
    if let zeros = inputs.optional(3) {
      try zeros.requireSameElement("W's zero points", as: weights, "W")
      try QuantizationInputs.check(zeros, "W's zero points", count: outputs, axis: .columns)
    }
    if let bias = inputs.optional(4) {
      guard bias.element == .float32, bias.shape == [outputs] else {
        throw GraphError("a bias of shape \(bias.shape) does not fit \(outputs) outputs")
      }
    }
    return [try TensorType(outputElement, input.shape.dropLast() + [outputs])]
  }

  /// The numbers that the sums of each output are multiplied by, beside a scale of X that is found when it
  /// runs.
  func factors(_ scales: UnsafeBufferPointer<Float>, outputs: Int) -> [Float] {
    (0..<outputs).map { output in
      let scale = scales[scales.count == 1 ? 0 : output]
      guard case .fixed(let input) = input else { return scale }
      let factor = input.scale * scale
      return step.map { factor / $0.scale } ?? factor
    }
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (input, weights) = (inputs[required: 0], inputs[required: 1])
    let (width, columns) = (input.type.shape.last ?? 0, outputs[0].type.shape.last ?? 0)
    guard outputs[0].type.count > 0 else { return }
    let (x, scale) = quantized(input)
    let w = weights.integersOf8Bits
    let zeros = inputs[optional: 3]?.integersOf8Bits ?? [0]
    let bias = inputs[optional: 4]?.elements(Float.self)
    let factors = factors(inputs[required: 2].elements(Float.self), outputs: columns)
    for index in 0..<outputs[0].type.count {
      let (row, column) = (index / columns, index % columns)
      let zero = zeros[zeros.count == 1 ? 0 : column]
      var sum: Int32 = 0
      for place in 0..<width {
        let weight = w[isTransposed ? place * columns + column : column * width + place]
        sum &+= x[row * width + place] &* (weight &- zero)
      }
      write(Float(sum) * (scale * factors[column]), bias?[column], outputs[0], index)
    }
  }

  /// Numbers less their zero point, and what their factors lack of the scale.
  private func quantized(_ input: TensorView) -> ([Int32], Float) {
    switch self.input {
    case .fixed(let quantization): return (input.integersOf8Bits.map { $0 - quantization.zero }, 1)
    case .dynamic:
      let numbers = input.elements(Float.self)
      let found = DynamicQuantizeLinear.quantization(numbers)
      return (numbers.map { found.rounded($0 / found.scale) - found.zero }, found.scale)
    }
  }

  private func write(_ value: Float, _ bias: Float?, _ target: MutableTensorView, _ index: Int) {
    var value = value
    if output == .step, let step { return store(step.rounded(value), target, index) }
    if let step { value = Float(step.rounded(value) - step.zero) * step.scale }
    if let bias { value += bias }
    withUnsafeMutablePointer(to: &value) { activation.apply(UnsafeMutableBufferPointer(start: $0, count: 1)) }
    if case .rounded(let quantization) = output {
      store(quantization.rounded(value / quantization.scale), target, index)
    } else {
      target.pointer(Float.self)[index] = value
    }
  }

  private func store(_ value: Int32, _ target: MutableTensorView, _ index: Int) {
    target.start.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: index, as: UInt8.self)
  }
}

extension TensorView {
  /// The numbers of a tensor of int8 or uint8.
  var integersOf8Bits: [Int32] {
    type.element == .int8
      ? elements(Int8.self).map { Int32($0) } : elements(UInt8.self).map { Int32($0) }
  }
}

extension Tensor {
  var integersOf8Bits: [Int32] { view.integersOf8Bits }
}
