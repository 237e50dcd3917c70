import ApusBase
import ApusJSON
import ApusModels
import ArgumentParser
import Glibc

/// The audit log of a repository.
struct Audit: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Look after the log of what was done to models.",
    subcommands: [Verify.self])

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "verify",
      abstract: "Find a line of the audit log that was changed or taken out.",
      discussion: """
        Each line holds the hash of the one before it. Exit status 1 where the chain breaks. Lines that \
        were cut off at the end leave no gap: compare the newest hash with one that was kept elsewhere.

          apus audit verify models/repository
        """)

    @Argument(help: ArgumentHelp("A folder of models, or an audit log.", valueName: "path"))
    var path: String

    @Flag(help: "Print one JSON document.")
    var json = false

    func run() throws {
      var status = stat()
      let isFolder = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
      let log = isFolder ? path + "/.apus/audit.log" : path
      let result: AuditLog.Verification
      do throws(ModelError) { result = try AuditLog.verify(path: log) } catch {
        throw failure(error.description, status: 1)
      }
      if json { print(result.json) } else { print(result.text) }
      guard result.isIntact else { throw ExitCode(1) }
    }
  }
}

extension AuditLog.Verification {
  fileprivate var isIntact: Bool {
    if case .sound = self { true } else { false }
  }

  fileprivate var text: String {
    switch self {
    case .sound(let entries, let last):
      "\(entries) lines, none changed; the newest hash is \(hexadecimal(last))"
    case .broken(let line, let reason): "line \(line): \(reason)"
    }
  }

  fileprivate var json: JSON {
    switch self {
    case .sound(let entries, let last):
      ["intact": .boolean(true), "lines": .integer(entries), "hash": .string(hexadecimal(last))]
    case .broken(let line, let reason):
      ["intact": .boolean(false), "line": .integer(line), "reason": .string(reason)]
    }
  }
}
