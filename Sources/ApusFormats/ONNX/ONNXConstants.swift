import ApusEngine

/// The operator Constant: what it gives is a constant of the graph, so nothing of it is left to run.
enum ONNXConstants {
  /// - Parameter opset: of ONNX's own domain; all forms but `value` are of 12 and later.
  /// - Throws: `GraphError` where the node does not have exactly one value that is computed with.
  static func tensor(_ attributes: Attributes, opset: Int) throws(GraphError) -> Tensor {
    let forms = ["value", "value_float", "value_floats", "value_int", "value_ints"]
    for form in ["value_string", "value_strings"] where attributes.has(form) {
      throw GraphError("its '\(form)' is text, which is not computed with")
    }
    try attributes.only("value", "value_float", "value_floats", "value_int", "value_ints")
    let present = forms.filter { attributes.has($0) }
    guard present.count == 1 else {
      throw GraphError("a Constant has one value, not \(present.count)")
    }
    if let tensor = try attributes.tensor("value") { return tensor }
    guard opset >= 12 else { throw GraphError("'\(present[0])' is of opset 12 and later, not \(opset)") }
    if let float = try attributes.float("value_float") { return try Tensor([float], []) }
    if let floats = try attributes.floats("value_floats") { return try Tensor(floats, [floats.count]) }
    if let int = try attributes.int("value_int") { return try Tensor([Int64(int)], []) }
    let ints = try attributes.ints("value_ints") ?? []
    return try Tensor(ints.map { Int64($0) }, [ints.count])
  }
}
