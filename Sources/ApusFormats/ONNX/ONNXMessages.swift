import COnnxProto

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
