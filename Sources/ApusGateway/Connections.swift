import ApusBase
import NIOCore

/// The connections that are served, each by a task of its own from the moment on when it is set up. NIO's
/// stream of accepted connections would lose those that come while the listening socket closes, and end the
/// process for it (github.com/apple/swift-nio/issues/2813).
final class Connections: Sendable {
  private struct Open {
    var served: [ObjectIdentifier: (channel: any Channel, task: Task<Void, Never>)] = [:]
    var isDraining = false
  }

  private let open = Locked(Open())

  /// Serves a connection until `body` returns.
  func serve(_ channel: any Channel, _ body: @escaping @Sendable () async -> Void) {
    let key = ObjectIdentifier(channel)
    open.withLock { open in
      let task = Task(executorPreference: LoopExecutor(channel.eventLoop)) {
        await body()
        self.open.withLock { $0.served[key] = nil }
      }
      open.served[key] = (channel, task)
      if open.isDraining { Self.quiesce(channel) }
    }
  }

  /// Ends each connection behind the request at hand, and returns when all have ended; those that have not
  /// after so long are closed.
  func drain(within nanoseconds: UInt64) async {
    let channels = open.withLock { open in
      open.isDraining = true
      return open.served.values.map(\.channel)
    }
    for channel in channels { Self.quiesce(channel) }
    let limit = Task {
      try await Task.sleep(nanoseconds: nanoseconds)
      for channel in open.withLock({ $0.served.values.map(\.channel) }) { channel.close(promise: nil) }
    }
    while let task = open.withLock({ $0.served.values.first?.task }) { await task.value }
    limit.cancel()
  }

  private static func quiesce(_ channel: any Channel) {
    channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
  }
}
