package import ApusEngine
import COnnxProto

/// A model in ONNX's format, read into a graph. Nothing of it is computed here, and nothing is read but the
/// bytes that are given.
///
/// How: the file is walked along ONNX's schema and checked (`ProtobufSkeleton`), what is left without the
/// tensors' numbers is decoded by protobuf-c in bounded memory (`ProtobufMemory`), and that becomes a graph
/// (`ONNXGraph`) whose constants lie in the file (`ONNXTensors`).
package struct ONNXFile: Sendable {
  package let graph: Graph
  /// The graph's own name.
  package let name: String
  /// Name and version of what wrote the file, for example `pytorch 2.15.0`; may be empty.
  package let producer: String
  package let irVersion: Int
  /// Versions of the operators by domain; that of ONNX's own is under the empty name.
  package let opsets: [String: Int]

  /// Of ONNX's own domain; nil where no node needs it.
  package var opset: Int? { opsets[""] }

  /// Reads a file of the format.
  ///
  /// - Parameters:
  ///   - file: the whole file. The graph's constants keep its owner.
  ///   - operators: what nodes may compute.
  ///   - companion: the bytes of a file beside the model, by a plain name, for tensors that are there; nil
  ///     where there is none. A model can name none outside its folder.
  /// - Throws: `FormatError` that names the node, the tensor or the place in the file.
  package static func read(
    _ file: KeptBytes, operators: OperatorTable = .standard,
    companion: @escaping (String) -> KeptBytes? = { _ in nil }
  ) throws(FormatError) -> ONNXFile {
    let skeleton = try ONNXLimits.format.skeleton(
      of: file, onnx_model_descriptor(), marking: onnx_tensor_descriptor())
    let tensors = ONNXTensors(file: file, messages: skeleton.marked, companion: companion)
    return try ONNXLimits.format.memory(for: skeleton).withMessage(skeleton, onnx__model_proto__unpack) {
      (model) throws(FormatError) in
      try ONNXFile(model, tensors, operators)
    }
  }

  /// Reads a file of one tensor alone (`TensorProto`), as tests of the format have.
  package static func readTensor(_ file: KeptBytes) throws(FormatError) -> Tensor {
    let skeleton = try ONNXLimits.format.skeleton(
      of: file, onnx_tensor_descriptor(), marking: onnx_tensor_descriptor())
    let tensors = ONNXTensors(file: file, messages: skeleton.marked) { _ in nil }
    return try ONNXLimits.format.memory(for: skeleton).withMessage(skeleton, onnx__tensor_proto__unpack) {
      (message) throws(FormatError) in
      try tensors.read(message, called: printable(text(message.name)))
    }
  }

  private init(
    _ model: ModelMessage, _ tensors: ONNXTensors, _ operators: OperatorTable
  ) throws(FormatError) {
    irVersion = Int(model.ir_version)
    guard ONNXLimits.irVersions.contains(irVersion) else {
      throw .unsupported(
        "version \(irVersion) of ONNX's format; those from \(ONNXLimits.irVersions.lowerBound) to "
          + "\(ONNXLimits.irVersions.upperBound) are read")
    }
    if let function = model.functionMessages.first {
      throw .unsupported(
        "the model has functions of its own, for example '\(printable(text(function.name)))'")
    }
    let sets = try ONNXOperatorSets(model.opsetImports)
    guard let message = model.graph?.pointee else { throw .malformed("the model has no graph") }
    graph = try ONNXGraph.read(message, opsets: sets, tensors: tensors, operators: operators)
    name = text(message.name)
    producer = model.producer
    opsets = sets.versions
  }
}
