import ApusJSON
import ApusServer
import ApusWire
import HTTPTypes
import NIOCore

/// Classify in the form of the Open Inference Protocol, version 2, with its extensions for binary tensors and
/// classification.
enum Inference {
  static func read(_ received: ModelCall) throws -> ModelCall.Question {
    let model = received.model
    var binary = received.body
    let json = try takeHeader(&binary, received)
    let inference = try ModelCall.scan(json) { (scanner) throws(JSONError) in
      try InferenceRequest(&scanner)
    }
    let outputs = try Self.outputs(inference)
    var call = received.call(
      try binary.withUnsafeReadableBytes { try inference.rows($0, for: model, received.service) })
    call.wantsScores = outputs.contains { $0.name == "scores" }
    call.timeoutNanoseconds = UInt64(min(max(0, inference.timeoutMicroseconds), 1e15) * 1e3)
    return (call, { answer in Self.answer(inference, outputs, answer, model) })
  }

  /// Splits the body into JSON and, in what is left, the bytes of its tensors.
  private static func takeHeader(_ bytes: inout ByteBuffer, _ call: ModelCall) throws -> ByteBuffer {
    guard let text = call.headerLength else {
      defer { bytes.clear() }
      return bytes
    }
    guard let length = Int(text), length >= 0, let json = bytes.readSlice(length: length) else {
      throw Problem.badRequest(
        "HEADER_LENGTH", "Inference-Header-Content-Length is \(text.prefix(20)), and the body is not so long")
    }
    return json
  }

  private static func outputs(_ inference: InferenceRequest) throws(Status) -> [InferenceRequest.Output] {
    guard !inference.outputs.isEmpty else { return [InferenceRequest.Output(name: "probabilities")] }
    for output in inference.outputs where output.name != "probabilities" && output.name != "scores" {
      throw Status(
        .invalidArgument, "OUTPUT_UNKNOWN",
        "there is no output '\(output.name.prefix(64))'; probabilities and scores are there")
    }
    return inference.outputs
  }

  // MARK: Answers

  private static func answer(
    _ inference: InferenceRequest, _ outputs: [InferenceRequest.Output], _ answer: LocalAnswer,
    _ model: LocalModel
  ) -> Answer {
    var text = JSONText(capacity: 512)
    var binary = ByteBuffer()
    text.object {
      $0.member("model_name", model.served.name)
      $0.member("model_version", String(model.served.version))
      if let id = inference.id { $0.member("id", id) }
      $0.key("outputs")
      $0.array { text in
        for output in outputs {
          let isBinary = output.isBinary ?? inference.isBinaryOutput
          let tensor = InferenceOutput(output, answer, model)
          if isBinary { tensor.write(to: &text, &binary) } else { tensor.write(to: &text) }
        }
      }
    }
    guard binary.readableBytes > 0, let name = ModelCall.headerLength else { return .json(text) }
    var body = text.buffer
    var fields: HTTPFields = [.contentType: "application/octet-stream"]
    fields[name] = String(body.readableBytes)
    body.writeBuffer(&binary)
    return Answer(status: .ok, fields: fields, body: body)
  }
}
