import ApusStore
import ArgumentParser
import Glibc

struct ApusStoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apus-store",
    abstract: "Keep a folder of models in step with an S3 bucket or a web server.",
    discussion: """
        apus-store sync s3://bucket/models /var/cache/apus/models --follow
        apus-store index models/repository

      Exit status: 0 in step, 1 not in step, 2 wrong usage.
      """,
    subcommands: [Sync.self, Index.self])

  /// Like `ParsableCommand.main`, with 2 instead of 64 for wrong usage, and every error in one line.
  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as StoreError {
      printError("\(error)")
      Glibc.exit(error.kind == .usage ? 2 : 1)
    } catch {
      let code = exitCode(for: error)
      if code == .success {
        print(fullMessage(for: error))
      } else if !(error is ExitCode) {
        printError(message(for: error).split(separator: "\n").joined(separator: "; "))
      }
      Glibc.exit(code == .validationFailure ? 2 : code.rawValue)
    }
  }
}

/// Writes a line to standard error.
func printError(_ line: String) { writeLine("apus-store: " + line, to: STDERR_FILENO) }

/// Writes a line at once, in one piece where the kernel takes it so.
func writeLine(_ line: String, to file: Int32) {
  var bytes = Array((line + "\n").utf8)[...]
  while !bytes.isEmpty {
    let count = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { return }
    bytes = bytes.dropFirst(count)
  }
}
