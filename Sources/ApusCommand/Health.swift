import ApusClient
import ApusJSON
import ApusWire
import ArgumentParser
import Glibc
import Synchronization

struct Health: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "health",
    abstract: "Say whether a server, or one of its models, answers calls.",
    discussion: """
      The exit status is 0 while calls are answered and 1 otherwise, so that it can be a liveness check:

        apus health --to unix:/run/apus.sock
        apus health --to unix:/run/apus.sock --model digits

      With --watch the state is printed again at every change, until the server drains or Ctrl-C; the status
      is that of the last state:

        apus health --to unix:/run/apus.sock --watch
      """)

  @OptionGroup var connection: ConnectionOptions

  @Option(help: ArgumentHelp("Ask for this model instead of the whole server.", valueName: "name"))
  var model = ""

  @Flag(help: "Print every change until the server drains or Ctrl-C.")
  var watch = false

  @Flag(help: "Print one JSON document; with --watch one a line.")
  var json = false

  func run() throws {
    if watch { return try watchHealth() }
    let health = try connection.withClient {
      try $0.health(model, timeoutNanoseconds: connection.timeoutNanoseconds)
    }
    tell(health)
    if health.status != .serving { throw ExitCode(1) }
  }

  private func tell(_ health: HealthResponse) {
    if json {
      let document: JSON = ["status": .string(health.status.name), "detail": .string(health.detail)]
      print(document)
    } else {
      print(health.detail.isEmpty ? health.status.name : "\(health.status.name): \(printable(health.detail))")
    }
  }

  /// Ctrl-C ends the process from the signal handler, with the status that it would have now.
  private func watchHealth() throws {
    endStatus.store(1, ordering: .relaxed)
    onEndSignals { _ in _exit(endStatus.load(ordering: .relaxed)) }
    try connection.withClient { client in
      try client.watchHealth(model, timeoutNanoseconds: connection.timeoutNanoseconds) { health in
        tell(health)
        // A reader behind a pipe wants the line now.
        fflush(nil)
        endStatus.store(health.status == .serving ? 0 : 1, ordering: .relaxed)
      }
    }
    if endStatus.load(ordering: .relaxed) != 0 { throw ExitCode(1) }
  }
}

/// The exit status that the last state means.
private let endStatus = Atomic<Int32>(1)
