import ApusEngine
import COnnxProto

/// Makes tensors of `TensorProto` messages. Their elements stay in the file where they lie there as in
/// memory; they are copied where that is not aligned, and decoded where it is another form.
struct ONNXTensors {
  let file: KeptBytes
  /// Ranges of the tensors' messages in the file, by their marks.
  let messages: [FileBytes]
  let companion: (String) -> KeptBytes?

  /// - Parameter name: for messages.
  /// - Throws: `FormatError.tensor`.
  func read(_ message: TensorMessage, called name: String) throws(FormatError) -> Tensor {
    do throws(GraphError) {
      let type = try Self.type(message)
      guard message.segment == nil else {
        throw GraphError("it is a segment of a tensor; only whole ones are read")
      }
      let place = Int(message.apus_place)
      guard message.has_apus_place != 0, messages.indices.contains(place) else {
        throw GraphError("it has no place in the file")
      }
      let data = try ProtobufNumbers(in: messages[place], fields: ONNXElements.fields, of: "ONNX")
      if message.has_data_location != 0, message.data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL
      {
        guard data.source == nil else {
          throw GraphError("its numbers are in another file and in this one, too")
        }
        return try external(message, type)
      }
      return try tensor(type, data)
    } catch { throw .tensor(name: name, problem: error.description) }
  }

  private static func type(_ message: TensorMessage) throws(GraphError) -> TensorType {
    let element = try ONNXElements.type(message.data_type).get()
    let dims = numbers(message.n_dims, message.dims)
    guard dims.count <= ONNXLimits.rank else {
      throw GraphError("it has \(dims.count) dimensions; at most \(ONNXLimits.rank) are read")
    }
    return try TensorType(element, dims.map { Int($0) })
  }

  private func tensor(_ type: TensorType, _ data: ProtobufNumbers) throws(GraphError) -> Tensor {
    guard let source = data.source else {
      guard type.count == 0 else {
        throw GraphError("it has no numbers; its shape \(type.shape) takes \(type.count)")
      }
      return Tensor(type)
    }
    guard source == ONNXElements.raw else { return try decoded(type, data, source) }
    guard data.count == type.byteCount else {
      throw GraphError("its raw_data has \(data.count) bytes; \(type.description) takes \(type.byteCount)")
    }
    return Tensor(type, copyingIfNeeded: data.whole?.bytes, file.owner)
  }

  /// Numbers of a field for their kind.
  private func decoded(
    _ type: TensorType, _ data: ProtobufNumbers, _ source: ProtobufNumbers.Field
  ) throws(GraphError) -> Tensor {
    guard source == ONNXElements.field(for: type.element) else {
      throw GraphError("its numbers are in \(source.name), where none of \(type.element.rawValue) belong")
    }
    // Each number takes a byte of the file at least, so that this bounds the memory, too.
    guard data.count == type.count else {
      throw GraphError(
        "its \(source.name) has \(data.count) numbers; its shape \(type.shape) takes \(type.count)")
    }
    if let whole = data.whole { return Tensor(type, copyingIfNeeded: whole.bytes, file.owner) }
    let tensor = Tensor(type)
    try data.fill(tensor.mutableView)
    return tensor
  }
}
