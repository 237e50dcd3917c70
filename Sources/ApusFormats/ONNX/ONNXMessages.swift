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

typealias ModelMessage = Onnx__ModelProto
typealias GraphMessage = Onnx__GraphProto
typealias NodeMessage = Onnx__NodeProto
typealias AttributeMessage = Onnx__AttributeProto
typealias TensorMessage = Onnx__TensorProto
typealias ValueInfoMessage = Onnx__ValueInfoProto

extension ModelMessage {
  var opsetImports: [Onnx__OperatorSetIdProto] { messages(n_opset_import, opset_import) }
  var functionMessages: [Onnx__FunctionProto] { messages(n_functions, functions) }
  /// Name and version of what wrote the file.
  var producer: String {
    [text(producer_name), text(producer_version)].filter { !$0.isEmpty }.joined(separator: " ")
  }
}

extension GraphMessage {
  var nodes: [NodeMessage] { messages(n_node, node) }
  var initializers: [TensorMessage] { messages(n_initializer, initializer) }
  var inputs: [ValueInfoMessage] { messages(n_input, input) }
  var outputs: [ValueInfoMessage] { messages(n_output, output) }
}

extension NodeMessage {
  var inputs: [String] { texts(n_input, input) }
  var outputs: [String] { texts(n_output, output) }
  var attributes: [AttributeMessage] { messages(n_attribute, attribute) }
  var operatorName: String { text(op_type) }
}

extension TensorMessage {
  var externalEntries: [(key: String, value: String)] {
    messages(n_external_data, external_data).map { (text($0.key), text($0.value)) }
  }
}
