import Foundation

/// `apus` run to its end.
struct CommandRun {
  let status: Int32
  let output: String
  let errors: String

  /// - Parameter input: what it is given, as much as fits into a pipe; nil: nothing.
  init(_ arguments: [String], input: Data? = nil) throws {
    let process = Process()
    let (given, written, errors) = (Pipe(), Pipe(), Pipe())
    process.executableURL = ServerProcess.executable
    process.arguments = arguments
    process.standardInput = input == nil ? FileHandle.nullDevice as Any : given
    (process.standardOutput, process.standardError) = (written, errors)
    try process.run()
    if let input {
      try given.fileHandleForWriting.write(contentsOf: input)
      try given.fileHandleForWriting.close()
    }
    output = String(decoding: try written.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    self.errors = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    status = process.terminationStatus
  }
}
