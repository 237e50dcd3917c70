import ApusClient
import Foundation
import Testing

let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().path

/// An executable of this package, built beside the tests.
func builtExecutable(_ name: String) throws -> URL {
  let folder = URL(
    fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  )
  .deletingLastPathComponent()
  let places = [folder.path + "/\(name)", packageRoot + "/.build/debug/\(name)"]
  let path = places.first { FileManager.default.isExecutableFile(atPath: $0) }
  return URL(fileURLWithPath: try #require(path, "\(name) is not built"))
}

/// An `apus serve` on a Unix socket of its own.
final class ServedRepository {
  let address: String
  /// The same socket, for a lane.
  var lane: String { "shm:" + address.dropFirst("unix:".count) }
  private let process = Process()
  private let folder: URL

  /// - Parameter models: the folder to serve; nil: the repository's.
  init(_ arguments: [String] = [], models: String? = nil, environment: [String: String] = [:]) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "apus-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let socket = folder.path + "/s"
    address = "unix:\(socket)"
    process.executableURL = try builtExecutable("apus")
    // Listeners open in order and a Unix socket appears when it listens: after it, all others do.
    process.arguments =
      ["serve", "--models", models ?? packageRoot + "/models/repository"] + arguments
      + ["--listen", address]
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<1000 where !FileManager.default.fileExists(atPath: socket) { usleep(20_000) }
    try #require(FileManager.default.fileExists(atPath: socket), "the server does not start")
  }

  /// Drains the server and waits for its end.
  func terminate() {
    guard process.isRunning else { return }
    process.terminate()
    process.waitUntilExit()
  }

  deinit {
    terminate()
    try? FileManager.default.removeItem(at: folder)
  }

  var processID: Int32 { process.processIdentifier }

  /// The value of a line of `/proc/PID/status`, or of a thread's.
  func statusLine(_ name: String, thread: String? = nil) throws -> Int {
    let path = "/proc/\(processID)/" + (thread.map { "task/\($0)/" } ?? "") + "status"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let line = try #require(
      text.split(separator: "\n").first { $0.hasPrefix(name + ":") }, "no \(name) in \(path)")
    return try #require(
      line.split(whereSeparator: { $0 == ":" || $0.isWhitespace }).dropFirst().first.flatMap { Int($0) })
  }

  var threads: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: "/proc/\(processID)/task") }
  }
}

/// A running `client-probe`: see there.
final class Probe {
  private let process = Process()
  private let orders = Pipe()
  private let reports = Pipe()

  init(_ arguments: [String], environment: [String: String]) throws {
    process.executableURL = try builtExecutable("client-probe")
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = orders
    process.standardOutput = reports
    try process.run()
  }

  var processID: Int32 { process.processIdentifier }

  /// Waits for the end of a step.
  func waitForStep() throws { try #require(try reports.fileHandleForReading.read(upToCount: 1)?.count == 1) }
  func goOn() throws { try orders.fileHandleForWriting.write(contentsOf: Data([10])) }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }
}
