import ApusEngine
import Testing

/// A node to make and inputs to give it, for tests that write both by hand.
struct OperatorProbe {
  let name: String
  var domain = ""
  var opset = 21
  var outputs = 1
  var attributes: [String: Attributes.Attribute] = [:]

  func operation(inputs: Int = 2) throws(GraphError) -> any Operator {
    try OperatorTable.standard.make(
      name, domain: domain,
      NodeDescription(
        opset: opset, attributes: Attributes(attributes), inputs: inputs, outputs: outputs))
  }

  func run(_ inputs: [Tensor?]) throws(GraphError) -> [Tensor] {
    try compute(operation(inputs: inputs.count), inputs)
  }

  /// Why it is refused, when it is made or for these inputs; nil: it is not.
  func refusal(_ inputs: [Tensor?] = []) -> String? {
    do {
      let operation = try operation(inputs: inputs.count)
      if !inputs.isEmpty { _ = try compute(operation, inputs) }
      return nil
    } catch { return error.description }
  }

  /// Why inputs of these types are refused; they have no elements in memory.
  func refusal(types: [(ElementType, [Int])?]) -> String? {
    do {
      var inputs: [KnownTensor?] = []
      for type in types {
        guard let (element, shape) = type else {
          inputs.append(nil)
          continue
        }
        inputs.append(KnownTensor(type: try TensorType(element, shape)))
      }
      _ = try operation(inputs: types.count).outputTypes(inputs)
      return nil
    } catch { return error.description }
  }
}

extension Tensor {
  /// Zeros of a shape, for tests of shapes.
  static func zeros(_ shape: [Int], _ element: ElementType = .float32) throws(GraphError) -> Tensor {
    Tensor(try TensorType(element, shape))
  }
}
