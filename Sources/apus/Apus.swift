import ArgumentParser
import Glibc

/// The command line: each subcommand is a file of its own.
@main struct Apus: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apus",
    abstract: "Serve trained classifiers to other programs, and call them.",
    discussion: """
      Start a server:    apus serve --models models/repository
      Ask it:            apus classify --to unix:/tmp/apus.sock --model digits --tensor digit.npy --top 3

      Exit status: 0 success, 1 the server answered with an error or cannot be reached, 2 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [Serve.self, Classify.self, Health.self, Stats.self, Models.self, Bench.self])

  /// Like `ParsableCommand.main`, with 2 instead of 64 for wrong usage.
  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      let code = exitCode(for: error)
      let message = fullMessage(for: error)
      if code == .success { print(message) } else if !message.isEmpty { printError(message) }
      Glibc.exit(code == .validationFailure ? 2 : code.rawValue)
    }
  }
}

/// Writes a line to standard error.
func printError(_ line: String) {
  var bytes = Array((line + "\n").utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    guard count > 0 else { return }
    bytes = bytes.dropFirst(count)
  }
}
