import ApusAccess
import ApusJSON
import ApusServer
import ApusWire
import HTTPTypes
import Hummingbird
import NIOCore

/// The Open Inference Protocol, version 2, as KServe and Triton speak it. A model has the input `input`, one
/// of texts also `text`, of which a call gives one, and the outputs `probabilities` and `scores`.
struct InferenceRoutes {
  let frontend: Frontend

  private static let headerLength = HTTPField.Name("Inference-Header-Content-Length")

  func add(to router: Router<GatewayContext>) {
    router.serve("/v2", get: serverMetadata)
    router.serve("/v2/health/live", get: { _, _ in Response(status: .ok) })
    router.serve("/v2/health/ready", get: { _, _ in serverReady() })
    for path in ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"] {
      router.serve(path, get: modelMetadata)
      router.serve(path + "/ready", get: modelReady)
      router.serve(path + "/infer", post: infer)
    }
  }

  // MARK: Metadata

  @Sendable private func serverMetadata(_: Request, _: GatewayContext) async throws -> Response {
    var text = JSONText()
    text.object {
      $0.member("name", "apus")
      $0.member("version", frontend.server.version)
      $0.key("extensions")
      $0.array {
        $0.string("binary_tensor_data")
        $0.string("classification")
      }
    }
    return .json(text)
  }

  @Sendable private func modelMetadata(
    _ request: Request, _ context: GatewayContext
  ) async throws -> Response {
    let model = try model(request, context)
    var text = JSONText()
    text.object {
      $0.member("name", model.served.name)
      $0.key("versions")
      $0.array { $0.string(String(model.served.version)) }
      $0.member("platform", "apus_" + model.served.format)
      $0.key("inputs")
      $0.array {
        Self.tensor("input", model.served.inputShape, &$0)
        if model.served.features != nil { Self.tensor("text", datatype: "BYTES", [], &$0) }
      }
      $0.key("outputs")
      $0.array {
        Self.tensor("probabilities", [model.classes], &$0)
        Self.tensor("scores", [model.classes], &$0)
      }
    }
    return .json(text)
  }

  private static func tensor(
    _ name: String, datatype: String = "FP32", _ shape: [Int], _ text: inout JSONText
  ) {
    text.object {
      $0.member("name", name)
      $0.member("datatype", datatype)
      $0.key("shape")
      $0.array {
        $0.integer(-1)
        for dimension in shape { $0.integer(dimension) }
      }
    }
  }

  @Sendable private func modelReady(_ request: Request, _ context: GatewayContext) async throws -> Response {
    _ = try model(request, context)
    return serverReady()
  }

  private func serverReady() -> Response {
    Response(status: frontend.server.isReady ? .ok : .serviceUnavailable)
  }

  /// The model of the path, for who may know of it.
  private func model(_ request: Request, _ context: GatewayContext) throws(Status) -> LocalModel {
    let lane = frontend.lane(context)
    let caller = try frontend.caller(request, context)
    let choice = try ModelChoice(context)
    try lane.require(.read, .classify, model: choice.name, by: caller)
    return try lane.find(choice.name, version: choice.version)
  }

  // MARK: Infer

  @Sendable private func infer(_ request: Request, _ context: GatewayContext) async throws -> Response {
    var received = try await frontend.receive(request, context) { (_, _) throws(Status) in
      try ModelChoice(context)
    }
    let (model, lane) = (received.model, received.lane)
    let requestBytes = received.body.readableBytes
    let json = try Self.takeHeader(&received.body, request)
    let inference = try frontend.scan(json) { (scanner) throws(JSONError) in
      try InferenceRequest(&scanner)
    }
    let outputs = try Self.outputs(inference)
    let input = try received.body.withUnsafeReadableBytes {
      try inference.rows($0, for: model, lane)
    }
    var call = received.call(input)
    call.requestBytes = requestBytes
    call.wantsScores = outputs.contains { $0.name == "scores" }
    call.timeoutNanoseconds = UInt64(min(max(0, inference.timeoutMicroseconds), 1e15) * 1e3)
    let answer = try lane.classify(call, with: model, by: received.caller)
    return Self.response(inference, outputs, answer, model)
  }

  /// Splits the body into JSON and, in what is left, the bytes of its tensors.
  private static func takeHeader(_ bytes: inout ByteBuffer, _ request: Request) throws -> ByteBuffer {
    guard let name = headerLength, let text = request.headers[name] else {
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

  private static func response(
    _ inference: InferenceRequest, _ outputs: [InferenceRequest.Output], _ answer: LocalAnswer,
    _ model: LocalModel
  ) -> Response {
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
    guard binary.readableBytes > 0, let name = headerLength else { return .json(text) }
    var body = text.buffer
    var fields: HTTPFields = [.contentType: "application/octet-stream"]
    fields[name] = String(body.readableBytes)
    body.writeBuffer(&binary)
    return Response(status: .ok, headers: fields, body: ResponseBody(byteBuffer: body))
  }
}
