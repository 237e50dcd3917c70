import ApusBase
package import ApusIO
package import ApusServer
import Glibc
package import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// HTTP before a server in the same process, on threads of its own: REST, the Open Inference Protocol, and
/// what operators ask. Its calls go through the server's lanes, under the same policy and limits as RPC.
package final class HTTPGateway: Sendable {
  /// With the ports that the kernel chose.
  package let addresses: [Address]
  private let group: MultiThreadedEventLoopGroup
  private let services: ServiceGroup
  private let ended: Latch<Void>

  /// Starts serving.
  ///
  /// - Throws: when an address cannot be listened on.
  package init(server: Server, _ settings: GatewaySettings, _ log: Logger) throws {
    precondition(server.lanes.count >= settings.threads, "each thread needs a lane")
    let group = MultiThreadedEventLoopGroup(numberOfThreads: settings.threads)
    let frontend = try Frontend(server: server, group: group, settings)
    let latches = settings.addresses.map { _ in Latch<Int?>() }
    // What it has to say about single connections is in the access log and the metrics.
    let log = Logger(label: log.label) { _ in SwiftLogNoOpLogHandler() }
    let applications = zip(settings.addresses, latches).map { address, latch in
      makeApplication(address, frontend, settings, group, log) { latch.open($0) }
    }
    var configuration = ServiceGroupConfiguration(services: applications, logger: log)
    configuration.maximumGracefulShutdownDuration = .nanoseconds(settings.limits.drainNanoseconds)
    let services = ServiceGroup(configuration: configuration)
    let ended = Latch<Void>()
    let failure = Locked<(any Error)?>(nil)
    Task {
      do { try await services.run() } catch { failure.withLock { $0 = error } }
      // Whoever still waits for a port learns that there is none.
      for latch in latches { latch.open(nil) }
      ended.open(())
    }
    var bound: [Address] = []
    for (address, latch) in zip(settings.addresses, latches) {
      guard let port = latch.wait() else {
        ended.wait()
        try? group.syncShutdownGracefully()
        throw GatewayError(address, failure.withLock { $0 })
      }
      bound.append(address.withPort(UInt16(port)))
    }
    addresses = bound
    self.group = group
    self.services = services
    self.ended = ended
  }

  /// Closes the listening sockets, answers what has come, and returns when the threads have ended.
  package func drain() {
    let services = services
    Task { await services.triggerGracefulShutdown() }
    ended.wait()
    try? group.syncShutdownGracefully()
  }
}

/// Why there is no gateway.
struct GatewayError: Error, CustomStringConvertible {
  let description: String

  init(_ address: Address, _ error: (any Error)?) {
    let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? error.map { "\($0)" }
    description = "serve HTTP on \(address.url): \(reason ?? "it ended")"
  }
}
