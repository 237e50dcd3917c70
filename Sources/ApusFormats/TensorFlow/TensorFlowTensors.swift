import ApusEngine
import CTensorFlowProto

/// Makes tensors of `TensorProto` messages. Their elements stay in the file where they lie there as in
/// memory; they are copied where that is not aligned, and decoded where it is another form.
struct TensorFlowTensors {
  let file: KeptBytes
  /// Ranges of the tensors' messages in the file, by their marks.
  let messages: [FileBytes]
  /// Bytes that constants may still take beyond the numbers that the file has for them.
  private var repeatedBytesLeft = TensorFlowLimits.repeatedByteCount

  init(file: KeptBytes, messages: [FileBytes]) {
    self.file = file
    self.messages = messages
  }

  /// - Throws: `GraphError` for what is no whole tensor of a type that is computed with.
  mutating func read(_ message: TensorDef) throws(GraphError) -> Tensor {
    let element = try TensorFlowElements.type(message.dtype)
    let sizes: [Int?]? = message.tensor_shape.map { $0.pointee.sizes } ?? []
    guard let shape = sizes, !shape.contains(nil) else {
      throw GraphError("the shape of a constant has open sizes")
    }
    guard shape.count <= TensorType.maximumRank else {
      throw GraphError("it has \(shape.count) dimensions; at most \(TensorType.maximumRank) are read")
    }
    let type = try TensorType(element, shape.compactMap { $0 })
    let place = Int(message.apus_place)
    guard message.has_apus_place != 0, messages.indices.contains(place) else {
      throw GraphError("it has no place in the file")
    }
    return try tensor(
      type, ProtobufNumbers(in: messages[place], fields: TensorFlowElements.fields, of: "TensorFlow"))
  }

  private mutating func tensor(_ type: TensorType, _ data: ProtobufNumbers) throws(GraphError) -> Tensor {
    if data.source == TensorFlowElements.content {
      guard data.count == type.byteCount else {
        throw GraphError(
          "its tensor_content has \(data.count) bytes; \(type.description) takes \(type.byteCount)")
      }
      return Tensor(type, copyingIfNeeded: data.whole?.bytes, file.owner)
    }
    if let source = data.source, source != TensorFlowElements.field(for: type.element) {
      throw GraphError("its numbers are in \(source.name), where none of \(type.element.rawValue) belong")
    }
    guard data.count <= type.count else {
      throw GraphError(
        "its \(data.source?.name ?? "") has \(data.count) numbers; its shape \(type.shape) takes "
          + "\(type.count)"
      )
    }
    if data.count == type.count, let whole = data.whole {
      return Tensor(type, copyingIfNeeded: whole.bytes, file.owner)
    }
    return try repeated(type, data)
  }

  /// The last number stands for all that are missing; without any they are 0.
  private mutating func repeated(_ type: TensorType, _ data: ProtobufNumbers) throws(GraphError) -> Tensor {
    let size = type.element.byteCount
    let missing = (type.count - data.count) * size
    guard missing <= repeatedBytesLeft else {
      throw GraphError(
        "it repeats one number over \(missing) bytes; all constants together may over "
          + "\(TensorFlowLimits.repeatedByteCount >> 20) MiB")
    }
    repeatedBytesLeft -= missing
    let tensor = Tensor(type)
    try data.fill(tensor.mutableView)
    guard data.count > 0 else { return tensor }
    let last = tensor.start + (data.count - 1) * size
    for place in data.count..<type.count {
      (tensor.start + place * size).copyMemory(from: last, byteCount: size)
    }
    return tensor
  }
}
