import ApusBase
package import ApusIO
package import ApusServer
import Glibc
import NIOCore
import NIOPosix

/// HTTP before a server in the same process, on threads of its own: REST, the Open Inference Protocol, and
/// what operators ask. Its calls go through the server's services, under the same policy and limits as RPC.
package final class HTTPGateway: Sendable {
  /// With the ports that the kernel chose.
  package let addresses: [Address]
  private let group: MultiThreadedEventLoopGroup
  private let listeners: [any Channel]
  private let connections = Connections()
  private let drainNanoseconds: UInt64

  /// Starts serving.
  ///
  /// - Throws: when an address cannot be listened on.
  package init(server: Server, _ settings: GatewaySettings) throws {
    precondition(server.localServices.count >= settings.threads, "each thread needs a service")
    group = MultiThreadedEventLoopGroup(numberOfThreads: settings.threads)
    drainNanoseconds = settings.limits.drainNanoseconds
    var listeners: [any Channel] = []
    var addresses: [Address] = []
    do {
      let frontend = try Frontend(server: server, group: group, settings)
      for address in settings.addresses {
        let listener = HTTPListener(
          frontend: frontend, connections: connections, limits: settings.limits,
          credentials: address.isEncrypted ? settings.credentials : nil, responder: makeResponder(frontend))
        do { listeners.append(try listener.listen(on: address, group)) } catch {
          throw GatewayError(address, error)
        }
        let port = listeners.last?.localAddress?.port ?? 0
        addresses.append(address.withPort(UInt16(port)))
      }
    } catch {
      try? group.syncShutdownGracefully()
      throw error
    }
    self.listeners = listeners
    self.addresses = addresses
  }

  /// Closes the listening sockets, answers what has come, and returns when the threads have ended.
  package func drain() {
    for listener in listeners {
      // Who has connected is accepted first: a socket that closes resets those that wait.
      try? listener.setOption(.maxMessagesPerRead, value: UInt(HTTPListener.backlog)).wait()
      try? listener.eventLoop.submit {}.wait()
      try? listener.eventLoop.submit {}.wait()
      try? listener.close().wait()
    }
    // What was accepted is on its way to its thread; behind this it is served.
    for loop in group.makeIterator() { try? loop.submit {}.wait() }
    let quiet = group.any().makePromise(of: Void.self)
    quiet.completeWithTask { await self.connections.drain(within: self.drainNanoseconds) }
    try? quiet.futureResult.wait()
    try? group.syncShutdownGracefully()
  }
}

/// Why there is no gateway.
struct GatewayError: Error, CustomStringConvertible {
  let description: String

  init(_ address: Address, _ error: any Error) {
    let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
    description = "serve HTTP on \(address.url): \(reason)"
  }
}
