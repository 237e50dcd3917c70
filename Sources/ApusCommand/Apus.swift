package import ArgumentParser
import Glibc

/// The command line: each subcommand is a file of its own. Each says its name: the parser would find it from
/// the type's by looking through all that the process knows about types, which is slow at every start.
package struct Apus: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "apus",
    abstract: "Serve trained classifiers to other programs, and call them.",
    discussion: """
      Start a server, and ask it:

        apus serve --models models/repository --listen unix:/tmp/apus.sock
        apus classify --to unix:/tmp/apus.sock --model digits \\
          --tensor models/samples/digit.npy --top 3

      Exit status: 0 success, 1 the server answered with an error or cannot be reached, 2 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [
      Serve.self, Classify.self, Health.self, Stats.self, Top.self, Models.self, Model.self, Bench.self,
      Config.self, Auth.self, Audit.self, Doctor.self, Logs.self,
    ])

  package init() {}

  /// Like `ParsableCommand.main`, with 2 instead of 64 for wrong usage, and every error in one line.
  package static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      let code = exitCode(for: error)
      if code == .success {
        print(fullMessage(for: error))
      } else if !(error is ExitCode) {
        printError("apus: " + oneLine(error, isUsage: code == .validationFailure))
      }
      Glibc.exit(code == .validationFailure ? 2 : code.rawValue)
    }
  }

  /// What is wrong and, for wrong usage, where to read on: the last line of the parser's own message.
  private static func oneLine(_ error: any Error, isUsage: Bool) -> String {
    if isUsage, let problem = unknownCommand(in: CommandLine.arguments.dropFirst()) {
      return printable(problem)
    }
    let problem = printable(message(for: error).split(separator: "\n").joined(separator: "; "))
    guard isUsage, let hint = fullMessage(for: error).split(separator: "\n").last else { return problem }
    return "\(problem). \(hint.drop { $0 == " " })"
  }
}

/// Writes a line to standard error.
func printError(_ line: String) { writeError(line + "\n") }

/// Writes to standard error; what cannot be written is left out.
func writeError(_ text: String) {
  var bytes = Array(text.utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    guard count > 0 else { return }
    bytes = bytes.dropFirst(count)
  }
}
