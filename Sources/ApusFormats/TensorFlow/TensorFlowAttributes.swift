import ApusEngine
import CTensorFlowProto

/// The attributes of a node, by TensorFlow's names. What a file leaves out has the operator's default.
struct TensorFlowAttributes {
  private var values: [String: AttrValue] = [:]

  init() {}

  /// - Throws: `GraphError` for attributes without a name, without a value, or twice.
  init(_ node: NodeDef) throws(GraphError) {
    guard node.n_attr <= TensorFlowLimits.attributesPerNode else {
      throw GraphError(
        "it has \(node.n_attr) attributes; at most \(TensorFlowLimits.attributesPerNode) are read")
    }
    for (key, value) in node.attributes {
      guard !key.isEmpty, let value, value.value_case != TENSORFLOW__ATTR_VALUE__VALUE__NOT_SET else {
        // What begins with _ is for TensorFlow's own tools.
        if key.hasPrefix("_") { continue }
        throw GraphError("the attribute '\(printable(key))' has no value")
      }
      guard values.updateValue(value, forKey: key) == nil else {
        throw GraphError("the attribute '\(printable(key))' is there twice")
      }
    }
  }

  /// Refuses what an operator does not know: it could change what is computed. Types of elements do not, as
  /// they are those of the inputs, nor does what begins with _.
  ///
  /// - Throws: `GraphError` that names the first other attribute.
  func only(_ names: [String]) throws(GraphError) {
    for (name, value) in values.sorted(by: { $0.key < $1.key }) where !names.contains(name) {
      if name.hasPrefix("_") || value.value_case == TENSORFLOW__ATTR_VALUE__VALUE_TYPE { continue }
      throw GraphError("the attribute '\(printable(name))' is not known here")
    }
  }

  // Each throws `GraphError` where the attribute is of another kind; nil: it is not there.

  func flag(_ name: String) throws(GraphError) -> Bool? {
    try value(name, TENSORFLOW__ATTR_VALUE__VALUE_B, "yes or no").map { $0.b != 0 }
  }

  func int(_ name: String) throws(GraphError) -> Int? {
    try value(name, TENSORFLOW__ATTR_VALUE__VALUE_I, "a whole number").map { Int($0.i) }
  }

  func float(_ name: String) throws(GraphError) -> Float? {
    try value(name, TENSORFLOW__ATTR_VALUE__VALUE_F, "a number").map(\.f)
  }

  func string(_ name: String) throws(GraphError) -> String? {
    guard let value = try value(name, TENSORFLOW__ATTR_VALUE__VALUE_S, "a text") else { return nil }
    guard let text = value.s.text else { throw GraphError("the attribute '\(name)' is not UTF-8") }
    return text
  }

  func type(_ name: String) throws(GraphError) -> ElementType? {
    guard let value = try value(name, TENSORFLOW__ATTR_VALUE__VALUE_TYPE, "a type") else { return nil }
    return try TensorFlowElements.type(value.type)
  }

  func ints(_ name: String) throws(GraphError) -> [Int]? {
    guard let list = try value(name, TENSORFLOW__ATTR_VALUE__VALUE_LIST, "a list")?.list?.pointee else {
      return nil
    }
    guard list.n_s + list.n_f + list.n_b + list.n_type + list.n_shape == 0 else {
      throw GraphError("the attribute '\(name)' is not a list of whole numbers")
    }
    return numbers(list.n_i, list.i).map { Int($0) }
  }

  func tensor(_ name: String) throws(GraphError) -> TensorDef? {
    try value(name, TENSORFLOW__ATTR_VALUE__VALUE_TENSOR, "a tensor")?.tensor?.pointee
  }

  func shape(_ name: String) throws(GraphError) -> TensorShapeDef? {
    try value(name, TENSORFLOW__ATTR_VALUE__VALUE_SHAPE, "a shape")?.shape?.pointee
  }

  private func value(
    _ name: String, _ kind: Tensorflow__AttrValue__ValueCase, _ wanted: String
  ) throws(GraphError) -> AttrValue? {
    guard let value = values[name] else { return nil }
    guard value.value_case == kind else { throw GraphError("the attribute '\(name)' is not \(wanted)") }
    return value
  }
}
