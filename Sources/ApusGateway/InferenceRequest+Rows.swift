import ApusJSON
import ApusServer
import ApusWire

extension InferenceRequest {
  /// The rows that a model takes: of `input`, numbers, or of `text`, which models of texts take instead. An
  /// `input` of BYTES is a `text`.
  ///
  /// - Parameter binary: what follows the JSON in the body; it must be used up.
  /// - Throws: INVALID_ARGUMENT that says what would fit.
  func rows(
    _ binary: UnsafeRawBufferPointer, for model: LocalModel, _ service: LocalService
  ) throws(Status) -> (values: [Float], rows: Int) {
    let takesTexts = model.served.features != nil
    guard inputs.count == 1, inputs[0].name == "input" || (takesTexts && inputs[0].name == "text") else {
      let names = takesTexts ? "'input' of FP32 or 'text' of BYTES" : "named 'input'"
      throw Status(
        .invalidArgument, "INPUT_UNKNOWN", "model '\(model.served.name)' takes one input, \(names)")
    }
    let tensor = inputs[0]
    guard tensor.name == "input" || tensor.datatype == "BYTES" else {
      throw Status(
        .invalidArgument, "DTYPE_MISMATCH",
        "input 'text' must be BYTES, not '\(tensor.datatype.prefix(16))'; 'input' takes FP32")
    }
    var rest = binary
    let input = try tensor.input(&rest, takesTexts: takesTexts)
    guard rest.isEmpty else {
      throw Status(.invalidArgument, "TENSOR_MISMATCH", "\(rest.count) bytes follow the input's own")
    }
    return try input.rows(for: model, service)
  }
}
