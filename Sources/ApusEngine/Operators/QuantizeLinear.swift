/// QuantizeLinear: whole numbers for real ones, by a scale and a zero point for all, for each place of an
/// axis, or for blocks along it.
struct QuantizeLinear: Operator {
  let name = "QuantizeLinear"
  let axis: Int
  let block: Int
  let output: ElementType?

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "x")
    let scales = try inputs.required(1, "y_scale")
    try input.require("x", [.float32, .int32])
    try scales.require("y_scale", [.float32])
    _ = try QuantizationLayout(input.type, scales: scales.shape, axis: axis, block: block)
    guard let zeros = inputs.optional(2) else {
      return [try TensorType(output ?? .uint8, input.shape)]
    }
    try zeros.require("y_zero_point", [.int8, .uint8, .int16, .uint16])
    guard zeros.shape == scales.shape || zeros.type.count == 1 && scales.type.count == 1 else {
      throw GraphError("y_zero_point of shape \(zeros.shape) is not like y_scale of \(scales.shape)")
    }
    guard output == nil || output == zeros.element else {
      throw GraphError("y_zero_point is \(zeros.element.rawValue), which output_dtype is not")
    }
    return [try TensorType(zeros.element, input.shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    switch outputs[0].type.element {
    case .int8: try quantize(inputs, outputs[0], Int8.self)
    case .uint8: try quantize(inputs, outputs[0], UInt8.self)
    case .int16: try quantize(inputs, outputs[0], Int16.self)
    case .uint16: try quantize(inputs, outputs[0], UInt16.self)
    case let other: throw unexpected(other)
    }
  }

  private func quantize<Number: QuantizedElement>(
    _ inputs: [TensorView?], _ output: MutableTensorView, _: Number.Type
  ) throws(GraphError) {
    let input = inputs[required: 0]
    let scales = inputs[required: 1]
    let layout = try QuantizationLayout(input.type, scales: scales.type.shape, axis: axis, block: block)
    let values = scales.pointer(Float.self)
    let zeros = inputs[optional: 2]?.pointer(Number.self)
    let target = output.pointer(Number.self)
    if input.type.element == .int32 {
      let source = input.pointer(Int32.self)
      for index in 0..<input.type.count {
        let scale = layout.scale(index)
        target[index] = Number(rounding: Float(source[index]) / values[scale], zero: zeros?[scale] ?? 0)
      }
    } else {
      let source = input.pointer(Float.self)
      for index in 0..<input.type.count {
        let scale = layout.scale(index)
        target[index] = Number(rounding: source[index] / values[scale], zero: zeros?[scale] ?? 0)
      }
    }
  }

  static let entries = [
    OperatorEntry("QuantizeLinear") { (node) throws(GraphError) in
      let attributes = try QuantizationAttributes(node, saturates: true)
      guard attributes.output != .float32 else { throw GraphError("the output_dtype 1 is not computed here") }
      return QuantizeLinear(axis: attributes.axis, block: attributes.block, output: attributes.output)
    },
    OperatorEntry("DequantizeLinear") { (node) throws(GraphError) in
      let attributes = try QuantizationAttributes(node, saturates: false)
      guard attributes.output ?? .float32 == .float32 else {
        throw GraphError("an output_dtype other than float32 is not computed here")
      }
      return DequantizeLinear(axis: attributes.axis, block: attributes.block)
    },
    OperatorEntry("DynamicQuantizeLinear") { (node) throws(GraphError) in
      try node.attributes.only()
      return DynamicQuantizeLinear()
    },
  ]
}

/// DequantizeLinear: the real numbers that whole ones stand for.
struct DequantizeLinear: Operator {
  let name = "DequantizeLinear"
  let axis: Int
  let block: Int

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "x")
    let scales = try inputs.required(1, "x_scale")
    try input.require("x", [.int8, .uint8, .int16, .uint16, .int32])
    try scales.require("x_scale", [.float32])
    _ = try QuantizationLayout(input.type, scales: scales.shape, axis: axis, block: block)
    if let zeros = inputs.optional(2) {
      try zeros.requireSameElement("x_zero_point", as: input, "x")
      guard zeros.shape == scales.shape || zeros.type.count == 1 && scales.type.count == 1 else {
        throw GraphError("x_zero_point of shape \(zeros.shape) is not like x_scale of \(scales.shape)")
      }
    }
    return [try TensorType(.float32, input.shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    switch inputs[required: 0].type.element {
    case .int8: try dequantize(inputs, outputs[0], Int8.self)
    case .uint8: try dequantize(inputs, outputs[0], UInt8.self)
    case .int16: try dequantize(inputs, outputs[0], Int16.self)
    case .uint16: try dequantize(inputs, outputs[0], UInt16.self)
    case .int32: try dequantize(inputs, outputs[0], Int32.self)
    case let other: throw unexpected(other)
    }
  }

  private func dequantize<Number: QuantizedElement>(
    _ inputs: [TensorView?], _ output: MutableTensorView, _: Number.Type
  ) throws(GraphError) {
    let input = inputs[required: 0]
    let scales = inputs[required: 1]
    let layout = try QuantizationLayout(input.type, scales: scales.type.shape, axis: axis, block: block)
    let values = scales.pointer(Float.self)
    let zeros = inputs[optional: 2]?.pointer(Number.self)
    let source = input.pointer(Number.self)
    let target = output.pointer(Float.self)
    for index in 0..<input.type.count {
      let scale = layout.scale(index)
      target[index] = Float(Int(source[index]) - Int(zeros?[scale] ?? 0)) * values[scale]
    }
  }
}

/// DynamicQuantizeLinear: 8-bit numbers for real ones, by a scale and a zero point of the numbers' range.
struct DynamicQuantizeLinear: Operator {
  let name = "DynamicQuantizeLinear"

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "x")
    try input.require("x", [.float32])
    return [try TensorType(.uint8, input.shape), try TensorType(.float32, []), try TensorType(.uint8, [])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) {
    let input = inputs[required: 0].elements(Float.self)
    let found = Self.quantization(input)
    let target = outputs[0].pointer(UInt8.self)
    for (index, value) in input.enumerated() { target[index] = UInt8(found.rounded(value / found.scale)) }
    outputs[1].pointer(Float.self)[0] = found.scale
    outputs[2].pointer(UInt8.self)[0] = UInt8(found.zero)
  }

  /// That of a range which holds all numbers and 0. NaNs are passed over.
  static func quantization(_ numbers: UnsafeBufferPointer<Float>) -> Quantization {
    var least: Float = 0
    var most: Float = 0
    for value in numbers {
      least = min(least, value)
      most = max(most, value)
    }
    let scale = least == most ? 1 : (most - least) / 255
    return Quantization(
      scale: scale, zero: Int32(UInt8(rounding: -least / scale, zero: 0)), element: .uint8)
  }
}
