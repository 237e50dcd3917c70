/// LayerNormalization, and RMSNormalization, which moves nothing: the dimensions from an axis on, brought to
/// a mean of 0 and a variance of 1, then scaled and moved by numbers learned.
///
/// Sums are made in double precision.
struct LayerNormalization: Operator {
  let name: String
  let axis: Int
  let epsilon: Float
  /// Whether the mean is taken off, which RMSNormalization does not.
  let isCentered: Bool
  /// Outputs that the node lists: Y, Mean and InvStdDev.
  let outputs: Int

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32, .float64])
    let axis = try input.type.axis(axis)
    let parameters = [("Scale", try inputs.required(1, "Scale")), ("B", inputs.optional(2))]
    for case let (name, parameter?) in parameters {
      try parameter.requireSameElement(name, as: input, "X")
      let whole = Array(input.shape[axis...])
      guard try broadcastShape(parameter.shape, input.shape) == input.shape else {
        throw GraphError("\(name) of shape \(parameter.shape) cannot be broadcast to \(whole)")
      }
    }
    let outer = input.shape[..<axis] + [Int](repeating: 1, count: input.shape.count - axis)
    let statistics = try TensorType(.float32, Array(outer))
    return [input.type] + [TensorType](repeating: statistics, count: max(0, outputs - 1))
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    switch outputs[0].type.element {
    case .float32: try normalize(inputs, outputs, Float.self)
    case .float64: try normalize(inputs, outputs, Double.self)
    case let other: throw unexpected(other)
    }
  }

  private func normalize<Number: BinaryFloatingPoint & TensorElement>(
    _ inputs: [TensorView?], _ outputs: [MutableTensorView], _: Number.Type
  ) throws(GraphError) {
    let input = inputs[required: 0]
    let axis = try input.type.axis(axis)
    guard input.type.count > 0 else { return fillStatisticsOfNothing(outputs) }
    let (outer, size, inner) = input.type.around(axis)
    let count = size * inner
    let scales = BroadcastReader<Number>(inputs[required: 1], to: input.type.shape)
    let shifts = inputs[optional: 2].map { BroadcastReader<Number>($0, to: input.type.shape) }
    for row in 0..<outer {
      let source = input.pointer(Number.self) + row * count
      let target = outputs[0].pointer(Number.self) + row * count
      let moments = Moments(source, count, epsilon: epsilon, isCentered: isCentered)
      for index in 0..<count {
        let place = row * count + index
        let scaled = moments.normal(source[index]) * scales[place]
        target[index] = shifts.map { scaled + $0[place] } ?? scaled
      }
      if outputs.count > 1 { outputs[1].pointer(Float.self)[row] = Float(moments.mean) }
      if outputs.count > 2 { outputs[2].pointer(Float.self)[row] = Float(moments.inverse) }
    }
  }

  /// Rows without elements have no mean.
  private func fillStatisticsOfNothing(_ outputs: [MutableTensorView]) {
    for output in outputs.dropFirst() { output.elements(Float.self).update(repeating: .nan) }
  }

  static let entries = [
    OperatorEntry("LayerNormalization") { (node) throws(GraphError) in
      try make(node, isCentered: true)
    },
    OperatorEntry("RMSNormalization") { (node) throws(GraphError) in
      try make(node, isCentered: false)
    },
  ]

  private static func make(
    _ node: NodeDescription, isCentered: Bool
  ) throws(GraphError) -> LayerNormalization {
    let attributes = node.attributes
    try attributes.only("axis", "epsilon", "stash_type")
    guard try attributes.int("stash_type") ?? 1 == 1 else {
      throw GraphError("a stash_type other than float32 is not computed with here")
    }
    return LayerNormalization(
      name: isCentered ? "LayerNormalization" : "RMSNormalization", axis: try attributes.int("axis") ?? -1,
      epsilon: try attributes.float("epsilon") ?? 1e-5, isCentered: isCentered,
      outputs: isCentered ? min(node.outputs, 3) : 1)
  }
}

/// Elements of a tensor by their index in a larger one to which it is broadcast.
struct BroadcastReader<Number: TensorElement> {
  private let start: UnsafePointer<Number>
  private let shape: [Int]
  private let steps: [Int]
  /// Its elements where it is broadcast along whole leading dimensions only, else 0.
  private let period: Int

  /// - Precondition: the shapes can be broadcast, and neither is empty.
  init(_ view: TensorView, to shape: [Int]) {
    start = view.pointer()
    self.shape = shape
    steps = broadcastSteps(view.type.shape, to: shape.count)
    let trimmed = view.type.shape.drop { $0 == 1 }
    period = trimmed.elementsEqual(shape.suffix(trimmed.count)) ? view.type.count : 0
  }

  @inline(__always) subscript(index: Int) -> Number {
    if period > 0 { return start[index % period] }
    var rest = index
    var place = 0
    for axis in shape.indices.reversed() {
      place += rest % shape[axis] * steps[axis]
      rest /= shape[axis]
    }
    return start[place]
  }
}

/// The mean of some numbers and the inverse of their standard deviation.
struct Moments {
  /// 0 where it is not taken off.
  let mean: Double
  let inverse: Double

  init<Number: BinaryFloatingPoint>(
    _ numbers: UnsafePointer<Number>, _ count: Int, epsilon: Float, isCentered: Bool
  ) {
    var sum = 0.0
    if isCentered {
      for index in 0..<count { sum += Double(numbers[index]) }
    }
    mean = sum / Double(count)
    var squares = 0.0
    for index in 0..<count {
      let distance = Double(numbers[index]) - mean
      squares += distance * distance
    }
    inverse = 1 / (squares / Double(count) + Double(epsilon)).squareRoot()
  }

  /// A number moved by the mean and divided by the standard deviation.
  @inline(__always) func normal<Number: BinaryFloatingPoint>(_ number: Number) -> Number {
    Number((Double(number) - mean) * inverse)
  }
}
