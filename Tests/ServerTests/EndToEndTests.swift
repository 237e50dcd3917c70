import ApusClient
import Foundation
import Testing

/// A real `apus serve` process on a Unix socket in a folder of its own.
final class ServerProcess {
  let socket: String
  private let process = Process()
  private let folder: URL

  init() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    socket = folder.path + "/s"
    process.executableURL = Bundle.main.executableURL!.deletingLastPathComponent().appendingPathComponent("apus")
    if !FileManager.default.isExecutableFile(atPath: process.executableURL!.path) {
      process.executableURL = root.appendingPathComponent(".build/debug/apus")
    }
    process.arguments = [
      "serve", "--models", root.appendingPathComponent("models/repository").path, "--listen", "unix:\(socket)",
    ]
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<500 where !FileManager.default.fileExists(atPath: socket) { usleep(20_000) }
  }

  /// SIGTERM, and the exit status.
  func terminate() -> Int32 {
    process.terminate()
    process.waitUntilExit()
    return process.terminationStatus
  }

  deinit {
    if process.isRunning { _ = terminate() }
    try? FileManager.default.removeItem(at: folder)
  }
}

@Suite struct EndToEndTests {
  @Test func realServerClassifiesAndDrains() throws {
    let server = try ServerProcess()
    var client: SynchronousClient? = try SynchronousClient("unix:\(server.socket)")
    var result = ClassifyResult()
    let input = [Float](repeating: 0.5, count: 100)
    let call = ClassifyCall("textclassifier")
    for _ in 0..<100 {
      try client?.classify(input, call, into: &result)
      #expect(abs(result.probabilities.reduce(0, +) - 1) < 1e-6)
      #expect(result.probabilities.count == 2)
    }
    #expect(throws: ClientError.self) { try client?.classify(input, ClassifyCall("nobody"), into: &result) }
    #expect(throws: ClientError.self) { try client?.classify(input, ClassifyCall("digits"), into: &result) }
    client = nil
    #expect(server.terminate() == 0)
    #expect(!FileManager.default.fileExists(atPath: server.socket))
  }
}
