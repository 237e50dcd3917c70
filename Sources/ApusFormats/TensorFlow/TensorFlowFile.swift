package import ApusEngine
import CTensorFlowProto

/// A frozen graph of TensorFlow (`GraphDef`), read into a graph. Nothing of it is computed here, and nothing
/// is read but the bytes that are given.
///
/// How: as an ONNX file is read. The file is walked along TensorFlow's schema and checked
/// (`ProtobufSkeleton`), what is left without the tensors' numbers is decoded by protobuf-c in bounded
/// memory, and that becomes a graph (`TensorFlowGraph`) of ONNX's operators, whose constants lie in the file
/// (`TensorFlowTensors`).
package struct TensorFlowFile: Sendable {
  /// Its inputs are the placeholders, its outputs what no node reads, under the names that they have in the
  /// file.
  package let graph: Graph
  /// The version of TensorFlow's graphs that wrote the file; 0 where it does not say.
  package let producer: Int

  /// What makes such a file of what TensorFlow and Keras save, for messages.
  static let hint = "freeze the model with tools/freeze_tensorflow.py"

  /// Reads a file of the format.
  ///
  /// - Parameters:
  ///   - file: the whole file. The graph's constants keep its owner.
  ///   - operators: what nodes may be made of.
  /// - Throws: `FormatError` that names the node or the place in the file.
  package static func read(
    _ file: KeptBytes, operators: OperatorTable = .standard
  ) throws(FormatError) -> TensorFlowFile {
    try refuseOthers(FileBytes(file.bytes))
    let format = TensorFlowLimits.format
    let skeleton = try format.skeleton(
      of: file, tensorflow_graph_descriptor(), marking: tensorflow_tensor_descriptor())
    let tensors = TensorFlowTensors(file: file, messages: skeleton.marked)
    return try format.memory(for: skeleton).withMessage(skeleton, tensorflow__graph_def__unpack) {
      (message) throws(FormatError) in
      TensorFlowFile(
        graph: try TensorFlowGraph.read(message, tensors: tensors, operators: operators),
        producer: Int(message.versions?.pointee.producer ?? 0))
    }
  }

  /// Files that hold a model of TensorFlow in another form.
  private static func refuseOthers(_ file: FileBytes) throws(FormatError) {
    if file.starts(with: [0x89] + Array("HDF\r\n".utf8)) {
      throw .unsupported("a file of Keras in HDF5; \(hint)")
    }
    if file.starts(with: Array("PK\u{3}\u{4}".utf8)) {
      throw .unsupported("a zip archive, as Keras saves; \(hint)")
    }
    // A SavedModel begins with its version, a graph with a node.
    var reader = ProtobufReader(file)
    if let first = try? reader.next(), first.number == 1, first.wireType == .varint {
      throw .unsupported("a SavedModel, whose variables are in other files; \(hint)")
    }
  }
}
