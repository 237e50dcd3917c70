import ApusEngine
import COnnxProto

/// Reads what a graph says of an input.
enum ONNXInput {
  /// - Throws: `unsupported` for what is no tensor, and for elements that are not computed with; `malformed`
  ///   for a shape that is missing or not sound.
  static func read(_ message: ValueInfoMessage, as value: Graph.ValueID) throws(FormatError) -> Graph.Input {
    let name = "the input '\(printable(text(message.name)))'"
    guard let type = message.type?.pointee, type.value_case != ONNX__TYPE_PROTO__VALUE__NOT_SET else {
      throw .malformed("\(name) has no type")
    }
    guard type.value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE, let tensor = type.tensor_type?.pointee
    else {
      throw .unsupported("\(name) is \(kind(type.value_case)); only tensors are computed with")
    }
    guard let shape = tensor.shape?.pointee else { throw .malformed("\(name) has no shape") }
    guard shape.n_dim <= ONNXLimits.rank else {
      throw .unsupported("\(name) has \(shape.n_dim) dimensions; at most \(ONNXLimits.rank) are read")
    }
    let element: ElementType
    do { element = try ONNXElements.type(tensor.elem_type).get() } catch {
      throw .unsupported("\(name): \(error.description)")
    }
    var dims: [Int?] = []
    for dimension: Onnx__TensorShapeProto__Dimension in messages(shape.n_dim, shape.dim) {
      dims.append(try size(dimension, name))
    }
    return Graph.Input(value: value, element: element, shape: dims)
  }

  /// A dimension; nil where the model leaves it open, by a name, by nothing, or as some writers do by 0 or
  /// -1.
  private static func size(_ message: Onnx__TensorShapeProto__Dimension, _ name: String) throws(FormatError)
    -> Int?
  {
    guard message.value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE else { return nil }
    guard message.dim_value >= -1 else { throw .malformed("\(name) has the dimension \(message.dim_value)") }
    return message.dim_value > 0 ? Int(message.dim_value) : nil
  }

  private static func kind(_ value: Onnx__TypeProto__ValueCase) -> String {
    switch value {
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE: "a sequence"
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE: "a map"
    case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE: "a sparse tensor"
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE: "optional"
    default: "of an opaque type"
    }
  }
}
