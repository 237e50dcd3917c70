import ApusEngine
import COnnxProto

/// Reads the attributes of a node.
struct ONNXAttributes {
  let tensors: ONNXTensors
  /// For messages.
  let node: String

  /// - Throws: `FormatError.node` that names the attribute; `.tensor` for what is wrong with a tensor in one.
  func read(_ messages: [AttributeMessage]) throws(FormatError) -> Attributes {
    guard messages.count <= ONNXLimits.attributesPerNode else {
      throw failure("it has \(messages.count) attributes; at most \(ONNXLimits.attributesPerNode) are read")
    }
    var values: [String: Attributes.Attribute] = [:]
    for message in messages {
      let name = text(message.name)
      guard !name.isEmpty else { throw failure("an attribute has no name") }
      let value = try attribute(message, printable(name))
      guard values.updateValue(value, forKey: name) == nil else {
        throw failure("the attribute '\(printable(name))' is there twice")
      }
    }
    return Attributes(values)
  }

  private func attribute(_ message: AttributeMessage, _ name: String) throws(FormatError)
    -> Attributes.Attribute
  {
    guard message.ref_attr_name == nil else {
      throw failure("the attribute '\(name)' is one of a function, which models here cannot have")
    }
    switch message.type {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: return .float(message.f)
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: return .int(Int(message.i))
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING: return .string(try utf8(message.s, name))
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
      return .floats(Array(numbers(message.n_floats, message.floats)))
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
      return .ints(numbers(message.n_ints, message.ints).map { Int($0) })
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
      var strings: [String] = []
      for bytes in numbers(message.n_strings, message.strings) { strings.append(try utf8(bytes, name)) }
      return .strings(strings)
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
      guard let tensor = message.t else { throw failure("the attribute '\(name)' has no tensor") }
      return .tensor(try tensors.read(tensor.pointee, called: "'\(name)' of node \(node)"))
    default:
      throw failure("the attribute '\(name)' is \(Self.kind(message.type)), which is not computed here")
    }
  }

  private func utf8(_ bytes: ProtobufCBinaryData, _ name: String) throws(FormatError) -> String {
    guard let text = bytes.text else {
      throw failure("the attribute '\(name)' holds a text that is not UTF-8")
    }
    return text
  }

  /// What is refused, for a person.
  private static func kind(_ type: Onnx__AttributeProto__AttributeType) -> String {
    switch type {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPHS:
      "a graph inside the graph"
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR,
      ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSORS:
      "a sparse tensor"
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSORS: "a list of tensors"
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO,
      ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTOS:
      "a type"
    default: "of no type that ONNX has"
    }
  }

  private func failure(_ problem: String) -> FormatError { .node(name: node, problem: problem) }
}
