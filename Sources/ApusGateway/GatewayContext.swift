import ApusServer
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

  var isEncrypted: Bool { tls != nil }

  /// Whom the client's verified certificate names.
  var certificate: Caller? { tls?.certificate }

  private var tls: TLSHandler? {
    guard channel.eventLoop.inEventLoop else { return nil }
    return try? channel.pipeline.syncOperations.handler(type: TLSHandler.self)
  }
}
