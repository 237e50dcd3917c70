import ApusAccess
import ApusJSON
import ApusServer
import ApusWire
import HTTPTypes
import Hummingbird
import NIOCore

/// What the Open Inference Protocol, version 2, tells of the server and its models, as KServe and Triton do.
/// A model has the input `input`, one of texts also `text`, of which a call gives one, and the outputs
/// `probabilities` and `scores`.
struct InferenceRoutes {
  let frontend: Frontend

  func add(to router: Router<GatewayContext>) {
    router.serve("/v2", get: serverMetadata)
    router.serve("/v2/health/live", get: { _, _ in Response(status: .ok) })
    router.serve("/v2/health/ready", get: { _, _ in serverReady() })
    for path in ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"] {
      router.serve(path, get: modelMetadata)
      router.serve(path + "/ready", get: modelReady)
      router.refuse(path + "/infer", allowed: [.post])
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
    let choice = try context.choice
    let model = try model(choice, request, context)
    let versions =
      choice.version > 0
      ? [model.served.version] : frontend.service(context).readyVersions(of: model.served.name)
    var text = JSONText()
    text.object {
      $0.member("name", model.served.name)
      $0.key("versions")
      $0.array { text in for version in versions { text.string(String(version)) } }
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
    var response = Response.json(text)
    response.headers.tellDeprecation(of: model)
    return response
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
    let model = try model(try context.choice, request, context)
    var response = serverReady()
    response.headers.tellDeprecation(of: model)
    return response
  }

  private func serverReady() -> Response {
    Response(status: frontend.server.isReady ? .ok : .serviceUnavailable)
  }

  /// The version that a call of this path would go to, for who may know of it; of two sides of a canary the
  /// one of the request's key, or else the one that is no canary.
  private func model(
    _ choice: ModelChoice, _ request: Request, _ context: GatewayContext
  ) throws(Status) -> LocalModel {
    let service = frontend.service(context)
    let caller = try frontend.caller(request, context)
    try service.require(.read, .classify, model: choice.name, by: caller)
    let key = ModelCall.routeKey.flatMap { request.headers[$0] } ?? ""
    return try service.find(choice.name, version: choice.version, routeKey: key, draw: .max)
  }
}
