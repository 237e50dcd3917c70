import ApusAccess
import ApusBase
import ApusMetrics
import ApusServer
import ApusWire
import Hummingbird
import NIOCore

/// Whether the server lives and takes calls, and which models it has.
struct StatusRoutes {
  let frontend: Frontend

  func add(to router: Router<GatewayContext>) {
    router.serve("/healthz", get: { _, _ in Response.text("ok\n") })
    router.serve("/readyz", get: ready)
    router.serve("/v1/models", get: list)
    router.serve("/v1/models/{model}", get: describe)
    router.serve("/metrics", get: metrics)
    for path in ["", "/versions/{version}", "/aliases/{alias}"] {
      router.refuse("/v1/models/{model}\(path):classify", allowed: [.post])
    }
    router.refuse("/classify", allowed: [.post])
    router.serve("/openapi.json", get: { _, _ in
      Response(
        status: .ok, headers: [.contentType: "application/json"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: openAPIDocument)))
    })
  }

  @Sendable private func ready(_: Request, _: GatewayContext) async throws -> Response {
    guard frontend.server.isReady else {
      throw Status(.unavailable, "DRAINING", "this server is shutting down; try another")
    }
    return .text("ready\n")
  }

  /// For Prometheus. Made on another thread than HTTP's, since a text of many models takes some milliseconds.
  @Sendable private func metrics(_ request: Request, _ context: GatewayContext) async throws -> Response {
    let caller = try frontend.caller(request, context)
    try frontend.lane(context).require(.read, by: caller)
    let format = MetricsFormat(accept: request.headers[.accept] ?? "")
    let server = frontend.server
    let text = await Task.detached(priority: .background) { server.metrics(format) }.value
    return Response(
      status: .ok, headers: [.contentType: format.contentType],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: text)))
  }

  @Sendable private func list(_ request: Request, _ context: GatewayContext) async throws -> Response {
    let lane = frontend.lane(context)
    let caller = try frontend.caller(request, context)
    try lane.require(.read, by: caller)
    return .json(Self.text(lane.models(of: caller)))
  }

  /// All versions of one model.
  @Sendable private func describe(_ request: Request, _ context: GatewayContext) async throws -> Response {
    let lane = frontend.lane(context)
    let caller = try frontend.caller(request, context)
    let name = context.parameters.get("model") ?? ""
    try lane.require(.read, .classify, model: name, by: caller)
    let models = lane.models(of: caller).filter { $0.name == name }
    guard !models.isEmpty else {
      try lane.require(model: name)
      throw Status(.permissionDenied, "ACCESS_DENIED", "this caller may not do that")
    }
    return .json(Self.text(models))
  }

  /// As `apus models --json` prints them.
  private static func text(_ models: [ModelInfo]) -> JSONText {
    var text = JSONText()
    text.object {
      $0.key("models")
      $0.array { text in for model in models { write(model, &text) } }
    }
    return text
  }

  private static func write(_ model: ModelInfo, _ text: inout JSONText) {
    text.object {
      $0.member("name", model.name)
      $0.member("version", integer: model.version)
      $0.member("state", model.state.name)
      $0.member("reason", model.reason)
      $0.member("format", model.format)
      $0.member("digest", model.digest.isEmpty ? "" : "sha256:" + hexadecimal(model.digest))
      $0.key("aliases")
      $0.array { text in for alias in model.aliases { text.string(alias) } }
    }
  }
}

extension Response {
  static func text(_ text: String) -> Response {
    Response(
      status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}
