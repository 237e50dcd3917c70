import COnnxProto

// What protobuf-c has decoded, as Swift reads it. A pointer in it is valid while its model is.

/// The messages of a repeated field.
func messages<Message>(
  _ count: Int, _ start: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?
) -> [Message] {
  UnsafeBufferPointer(start: start, count: start == nil ? 0 : count).compactMap { $0?.pointee }
}

/// The texts of a repeated field.
func texts(_ count: Int, _ start: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> [String] {
  UnsafeBufferPointer(start: start, count: start == nil ? 0 : count).map { text($0) }
}

/// A text, of which a skeleton has checked that it is UTF-8; empty where it is not there.
func text(_ start: UnsafeMutablePointer<CChar>?) -> String { start.map { String(cString: $0) } ?? "" }

/// The numbers of a repeated field.
func numbers<Number>(_ count: Int, _ start: UnsafeMutablePointer<Number>?) -> UnsafeBufferPointer<Number> {
  UnsafeBufferPointer(start: start, count: start == nil ? 0 : count)
}

extension ProtobufCBinaryData {
  /// The bytes as text, or nil where they are not UTF-8.
  var text: String? { String(validating: UnsafeBufferPointer(start: data, count: len), as: UTF8.self) }
}
