import NIOCore
import NIOHTTP1

/// What HTTP/1.1 says of a request's head as a whole, made plain for those behind, who see no version:
/// whether the client closes the connection (RFC 9110, section 7.6.1; RFC 9112, section 9.3), which becomes
/// the one option `close`, and that a request of HTTP/1.0 needs no Host.
final class HeadRules: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .head(var head) = unwrapInboundIn(data) else { return context.fireChannelRead(data) }
    let isOld = head.version.major < 1 || head.version == .http1_0
    let options = head.headers[canonicalForm: "connection"].map { $0.lowercased() }
    if options.contains("close") || isOld && !options.contains("keep-alive") {
      head.headers.replaceOrAdd(name: "connection", value: "close")
    }
    if isOld, !head.headers.contains(name: "host") { head.headers.add(name: "host", value: "") }
    context.fireChannelRead(wrapInboundOut(.head(head)))
  }
}
