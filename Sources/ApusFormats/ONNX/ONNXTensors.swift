import ApusEngine
import COnnxProto

/// The bytes of a file, and who keeps them where they are: a mapping.
///
/// Invariant of the unsafe code that reads them: `bytes` stay readable and unchanged for as long as `owner`
/// lives.
package struct KeptBytes: @unchecked Sendable {
  package let bytes: UnsafeRawBufferPointer
  package let owner: any AnyObject & Sendable

  package init(_ bytes: UnsafeRawBufferPointer, keeping owner: any AnyObject & Sendable) {
    self.bytes = bytes
    self.owner = owner
  }
}

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
      let data = try ONNXTensorData(in: messages[place])
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

  private func tensor(_ type: TensorType, _ data: ONNXTensorData) throws(GraphError) -> Tensor {
    guard let source = data.source else {
      guard type.count == 0 else {
        throw GraphError("it has no numbers; its shape \(type.shape) takes \(type.count)")
      }
      return Tensor(type)
    }
    guard source == .raw else { return try decoded(type, data, source) }
    guard data.count == type.byteCount else {
      throw GraphError("its raw_data has \(data.count) bytes; \(type.description) takes \(type.byteCount)")
    }
    return Self.inPlace(type, data.whole?.bytes, file.owner)
  }

  /// Numbers of a field for their kind.
  private func decoded(
    _ type: TensorType, _ data: ONNXTensorData, _ source: ONNXTensorData.Source
  ) throws(GraphError) -> Tensor {
    guard source == ONNXTensorData.Source(for: type.element) else {
      throw GraphError("its numbers are in \(source.name), where none of \(type.element.rawValue) belong")
    }
    // Each number takes a byte of the file at least, so that this bounds the memory, too.
    guard data.count == type.count else {
      throw GraphError(
        "its \(source.name) has \(data.count) numbers; its shape \(type.shape) takes \(type.count)")
    }
    if let whole = data.whole { return Self.inPlace(type, whole.bytes, file.owner) }
    let tensor = Tensor(type)
    try Self.fill(tensor.mutableView, data)
    return tensor
  }

  /// - Precondition: as many bytes as the type takes.
  static func inPlace(
    _ type: TensorType, _ bytes: UnsafeRawBufferPointer?, _ owner: any AnyObject & Sendable
  ) -> Tensor {
    guard let bytes, let start = bytes.baseAddress else { return Tensor(type) }
    if Int(bitPattern: start) % type.element.byteCount == 0 { return Tensor(type, in: bytes, keeping: owner) }
    let copy = Tensor(type)
    copy.start.copyMemory(from: start, byteCount: bytes.count)
    return copy
  }

  private static func fill(_ target: MutableTensorView, _ data: ONNXTensorData) throws(GraphError) {
    switch target.type.element {
    case .float32: try fill(target.elements(), data) { Float(bitPattern: UInt32(truncatingIfNeeded: $0)) }
    case .float64: try fill(target.elements(), data) { Double(bitPattern: $0) }
    case .int64: try fill(target.elements(), data) { Int64(bitPattern: $0) }
    case .uint64: try fill(target.elements(), data) { $0 }
    case .uint32: try fill(target.elements(), data) { UInt32(exactly: $0) }
    case .int32: try fill(target.elements(), data) { Self.int32($0) }
    case .int16: try fill(target.elements(), data) { Int16(exactly: Self.int32($0)) }
    case .int8: try fill(target.elements(), data) { Int8(exactly: Self.int32($0)) }
    case .uint16: try fill(target.elements(), data) { UInt16(exactly: Self.int32($0)) }
    case .uint8: try fill(target.elements(), data) { UInt8(exactly: Self.int32($0)) }
    case .bool: try fill(target.elements(), data) { TensorBool($0 != 0) }
    case .float16, .bfloat16:
      let bits = UnsafeMutableBufferPointer(
        start: target.start.assumingMemoryBound(to: UInt16.self), count: target.type.count)
      try fill(bits, data) { UInt16(exactly: Self.int32($0)) }
    case .complex64, .complex128, .float8e4m3, .float8e5m2: throw GraphError("its type is not computed with")
    }
  }

  /// As protobuf reads an int32: its lower 32 bits.
  private static func int32(_ bits: UInt64) -> Int32 { Int32(truncatingIfNeeded: bits) }

  /// - Precondition: as many elements as there are numbers.
  private static func fill<Element>(
    _ target: UnsafeMutableBufferPointer<Element>, _ data: ONNXTensorData, _ element: (UInt64) -> Element?
  ) throws(GraphError) {
    var index = 0
    try data.forEach { (bits) throws(GraphError) in
      guard let value = element(bits) else {
        throw GraphError("its number \(index), \(Int64(bitPattern: bits)), is beyond its type")
      }
      target[index] = value
      index += 1
    }
  }
}
