import ApusClient
import ApusWire
import ArgumentParser

struct Health: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "health",
    abstract: "Say whether a server, or one of its models, answers calls.",
    discussion: """
      The exit status is 0 while calls are answered and 1 otherwise, so that it can be a liveness check:

        apus health --to unix:/run/apus.sock
        apus health --to unix:/run/apus.sock --model digits
      """)

  @OptionGroup var connection: ConnectionOptions

  @Option(help: ArgumentHelp("Ask for this model instead of the whole server.", valueName: "name"))
  var model = ""

  @Flag(help: "Print one JSON document.")
  var json = false

  func run() throws {
    let health = try connection.withClient {
      try $0.health(model, timeoutNanoseconds: connection.timeoutNanoseconds)
    }
    if json {
      let document: JSON = ["status": .string(health.status.name), "detail": .string(health.detail)]
      print(document)
    } else {
      print(health.detail.isEmpty ? health.status.name : "\(health.status.name): \(printable(health.detail))")
    }
    if health.status != .serving { throw ExitCode(1) }
  }
}
