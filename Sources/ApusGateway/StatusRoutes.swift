import ApusAccess
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
    router.serve("/v1", get: describeServer)
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
    try frontend.service(context).require(.read, by: caller)
    let format = MetricsFormat(accept: request.headers[.accept] ?? "")
    let server = frontend.server
    let text = await Task.detached(priority: .background) { server.metrics(format) }.value
    return Response(
      status: .ok, headers: [.contentType: format.contentType],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: text)))
  }

  /// Who serves, and in which versions of each protocol: to RPC's, Hello answers with the one it chose.
  @Sendable private func describeServer(_: Request, _: GatewayContext) async throws -> Response {
    var text = JSONText()
    text.object {
      $0.member("name", "apus")
      $0.member("version", frontend.server.version)
      $0.key("protocols")
      $0.object {
        $0.key("rpc")
        $0.array { $0.integer(FrameHeader.protocolVersion) }
        $0.key("rest")
        $0.array { $0.integer(1) }
        $0.key("open_inference")
        $0.array { $0.integer(2) }
      }
    }
    return .json(text)
  }

  @Sendable private func list(_ request: Request, _ context: GatewayContext) async throws -> Response {
    let service = frontend.service(context)
    let caller = try frontend.caller(request, context)
    try service.require(.read, by: caller)
    return .json(JSONText(models: service.models(of: caller)))
  }

  /// All versions of one model.
  @Sendable private func describe(_ request: Request, _ context: GatewayContext) async throws -> Response {
    let service = frontend.service(context)
    let caller = try frontend.caller(request, context)
    let name = context.parameters.get("model") ?? ""
    try service.require(.read, .classify, model: name, by: caller)
    let models = service.models(of: caller).filter { $0.name == name }
    guard !models.isEmpty else {
      try service.require(model: name)
      throw Status(.permissionDenied, "ACCESS_DENIED", "this caller may not do that")
    }
    return .json(JSONText(models: models))
  }
}

extension Response {
  static func text(_ text: String) -> Response {
    Response(
      status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}
