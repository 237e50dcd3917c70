package import ApusBase
import ApusEngine
package import ApusIO

/// A running server: its sockets and a thread for each reactor.
package final class Server: Sendable {
  package struct Configuration: Sendable {
    package var listen: [Address] = []
    /// Mode bits of the socket files.
    package var socketMode: UInt32 = 0o660
    package var threads = 1
    package var spinNanoseconds: UInt64 = 50_000
    package var limits = Limits()

    package init() {}
  }

  private let fleet: Fleet
  private let listeners: SharedListeners
  private let running: Joinable

  /// The addresses, with the ports that the kernel chose.
  package var addresses: [Address] { listeners.set.addresses }

  /// Opens the sockets and starts the threads: from here on clients are answered.
  package init(catalog: Catalog, _ configuration: Configuration) throws(SystemError) {
    let threads = max(1, configuration.threads)
    let fleet = try Fleet(catalog: catalog, limits: configuration.limits, reactors: threads)
    let listeners = SharedListeners(try ListenerSet(configuration.listen, mode: configuration.socketMode))
    let none = SharedListeners(try ListenerSet([], mode: 0))
    let running = Joinable()
    warmUpBLAS(threads: threads)
    for index in 0..<threads {
      let set = index == 0 ? listeners : none
      running.add(
        try Thread(name: "apus-reactor-\(index)") {
          do throws(SystemError) {
            var reactor = try Reactor(
              fleet: fleet, index: index, spinNanoseconds: configuration.spinNanoseconds)
            reactor.run(accepting: set.set)
          } catch {
            fatalError("reactor \(index) cannot start: \(error)")
          }
        })
    }
    self.fleet = fleet
    self.listeners = listeners
    self.running = running
  }

  /// Stops accepting, says goaway to every client, answers what was sent before, and returns when all threads
  /// have ended.
  package func drain() {
    // The first reactor accepts; it passes the word on when it has accepted its last connection.
    fleet.mailboxes[0].post(.drain)
    running.join()
  }
}

/// Listeners that reactor threads look at; the set itself never changes.
private final class SharedListeners: Sendable {
  let set: ListenerSet
  init(_ set: consuming ListenerSet) { self.set = set }
}
