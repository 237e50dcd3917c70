import ApusEngine
import COnnxProto

extension ONNXTensors {
  /// A tensor whose numbers are in a file beside the model.
  func external(_ message: TensorMessage, _ type: TensorType) throws(GraphError) -> Tensor {
    let place = try ExternalPlace(message.externalEntries)
    guard let file = companion(place.location) else {
      throw GraphError(
        "its numbers are in the file '\(printable(place.location))', which is not beside the model")
    }
    if let length = place.length, length != type.byteCount {
      throw GraphError("its length is \(length) bytes; \(type.description) takes \(type.byteCount)")
    }
    guard let part = FileBytes(file.bytes).slice(at: place.offset, count: type.byteCount) else {
      throw GraphError(
        "it takes \(type.byteCount) bytes at \(place.offset) of '\(printable(place.location))', "
          + "which has \(file.bytes.count)")
    }
    return Tensor(type, copyingIfNeeded: part.bytes, file.owner)
  }
}

/// What `external_data` says.
private struct ExternalPlace {
  let location: String
  let offset: Int
  /// nil: as much as the tensor's type takes.
  let length: Int?

  init(_ entries: [(key: String, value: String)]) throws(GraphError) {
    var values: [String: String] = [:]
    for (key, value) in entries {
      guard values.updateValue(value, forKey: key) == nil else {
        throw GraphError("its external data says '\(printable(key))' twice")
      }
    }
    guard let location = values["location"] else { throw GraphError("its external data has no location") }
    // A model names files of its own folder and nothing else.
    guard !location.isEmpty, location != ".", location != "..", !location.utf8.contains(UInt8(ascii: "/"))
    else {
      throw GraphError(
        "its numbers are in '\(printable(location))'; only a file beside the model may be named")
    }
    self.location = location
    offset = try Self.number(values["offset"], "offset") ?? 0
    length = try Self.number(values["length"], "length")
  }

  private static func number(_ text: String?, _ key: String) throws(GraphError) -> Int? {
    guard let text else { return nil }
    guard let number = Int(text), number >= 0 else {
      throw GraphError("its external data has the \(key) '\(printable(text))', which is no number of bytes")
    }
    return number
  }
}
