import ApusServer
import ApusWire
import Hummingbird
import NIOCore

/// What a request's handlers know about its connection.
struct GatewayContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }

  /// Whom the client's verified certificate names.
  var certificate: Caller? { tls?.certificate }

  /// Of the route's parameters `model`, and `version` where the route has it.
  ///
  /// - Throws: NOT_FOUND for a version that is no number.
  var choice: ModelChoice {
    get throws(Status) {
      try ModelChoice(
        parameters.get("model") ?? "", version: parameters.get("version") ?? "", alias: "")
    }
  }

  private var tls: TLSHandler? {
    guard channel.eventLoop.inEventLoop else { return nil }
    return try? channel.pipeline.syncOperations.handler(type: TLSHandler.self)
  }
}
