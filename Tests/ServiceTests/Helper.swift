import Foundation

/// Programs that a test runs to their end.
enum Helper {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The `apus` that was built beside the tests.
  static var executable: String {
    let beside = Bundle.main.executableURL!.deletingLastPathComponent().appendingPathComponent("apus").path
    return FileManager.default.isExecutableFile(atPath: beside)
      ? beside : root.appendingPathComponent(".build/debug/apus").path
  }

  /// Runs a program; what it writes to both its outputs, and its exit status.
  static func run(_ path: String, _ arguments: [String]) throws -> (output: String, status: Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (String(decoding: data, as: UTF8.self), process.terminationStatus)
  }
}
