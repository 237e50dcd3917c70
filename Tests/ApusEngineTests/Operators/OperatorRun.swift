import ApusEngine

/// One node by itself. Its inputs are known when its outputs' types are asked for, unless a test says
/// otherwise.
struct OperatorRun {
  let outputs: [Tensor]

  /// - Parameters:
  ///   - inputs: nil for one that is left out.
  ///   - unknown: places of inputs whose numbers `outputTypes` is not told.
  init(
    _ name: String, opset: Int = 21, _ attributes: [String: Attributes.Attribute],
    _ inputs: [Tensor?], outputs count: Int = 1, unknown: Set<Int> = []
  ) throws {
    let node = NodeDescription(
      opset: opset, attributes: Attributes(attributes), inputs: inputs.count, outputs: count)
    let operation = try OperatorTable.standard.make(name, domain: "", node)
    let types = try operation.outputTypes(
      inputs.enumerated().map { index, tensor in
        tensor.map { KnownTensor(type: $0.type, value: unknown.contains(index) ? nil : $0.view) }
      })
    outputs = types.map { Tensor($0) }
    try operation.compute(inputs.map { $0?.view }, outputs.map(\.mutableView))
  }

  init(
    _ name: String, opset: Int = 21, _ inputs: [Tensor?], outputs count: Int = 1, unknown: Set<Int> = []
  ) throws {
    try self.init(name, opset: opset, [:], inputs, outputs: count, unknown: unknown)
  }

  var shape: [Int] { outputs[0].type.shape }
  var element: ElementType { outputs[0].type.element }
  func values<Element: TensorElement>(_ output: Int = 0, of _: Element.Type = Element.self) -> [Element] {
    Array(outputs[output].view.elements(Element.self))
  }
  var floats: [Float] { values() }
  var integers: [Int64] { values() }
  var truths: [Bool] { values(of: TensorBool.self).map(\.value) }
}

/// A tensor of one dimension, or of the shape.
func floats(_ values: [Float], _ shape: [Int]? = nil) throws -> Tensor {
  try Tensor(values, shape ?? [values.count])
}
func integers(_ values: [Int64], _ shape: [Int]? = nil) throws -> Tensor {
  try Tensor(values, shape ?? [values.count])
}
func truths(_ values: [Bool], _ shape: [Int]? = nil) throws -> Tensor {
  try Tensor(values.map { TensorBool($0) }, shape ?? [values.count])
}
/// 0, 1, 2 and so on.
func counting(_ shape: [Int]) throws -> Tensor {
  try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape)
}

/// What an operator says when it refuses something.
func refusal(
  _ name: String, opset: Int = 21, _ attributes: [String: Attributes.Attribute], _ inputs: [Tensor?],
  outputs count: Int = 1, unknown: Set<Int> = []
) throws -> String {
  do {
    _ = try OperatorRun(name, opset: opset, attributes, inputs, outputs: count, unknown: unknown)
    return "nothing is refused"
  } catch let error as GraphError {
    return error.description
  }
}

func refusal(
  _ name: String, opset: Int = 21, _ inputs: [Tensor?], outputs count: Int = 1, unknown: Set<Int> = []
) throws -> String {
  try refusal(name, opset: opset, [:], inputs, outputs: count, unknown: unknown)
}

/// Whether all numbers agree within a part of them.
func agree(_ found: [Float], _ wanted: [Float], _ tolerance: Float = 1e-6) -> Bool {
  found.count == wanted.count
    && zip(found, wanted).allSatisfy {
      $0 == $1 || $0.isNaN && $1.isNaN || abs($0 - $1) <= tolerance * max(1, abs($1))
    }
}
