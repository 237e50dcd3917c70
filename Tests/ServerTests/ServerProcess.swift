import Foundation
import Testing

/// A real `apus serve` process, listening on a Unix socket and, where asked for, on a TCP port that the
/// kernel chose.
final class ServerProcess {
  let socket: String
  /// `tcp://127.0.0.1:PORT`; empty without TCP.
  private(set) var tcp = ""
  /// `tls://127.0.0.1:PORT`; empty where no argument asks for TLS.
  private(set) var tls = ""
  private let process = Process()
  private let folder: URL

  var unix: String { "unix:\(socket)" }
  var pid: pid_t { process.processIdentifier }

  /// Starts the server and waits until it listens.
  ///
  /// - Parameters:
  ///   - models: the folder to serve; nil: the models of the project.
  ///   - socket: where to listen; nil: in a folder of its own.
  ///   - descriptors: how many the process may have open; nil: as this one.
  init(
    models: String? = nil, socket: String? = nil, overTCP: Bool = false, arguments: [String] = [],
    descriptors: Int? = nil
  ) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "apus-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    self.socket = socket ?? folder.path + "/s"
    let repository = models ?? Self.root.appendingPathComponent("models/repository").path
    process.executableURL = Self.executable
    process.arguments =
      ["serve", "--models", repository, "--listen", "unix:\(self.socket)"]
      + (overTCP ? ["--listen", "tcp://127.0.0.1:0"] : []) + arguments
    if let descriptors, let command = process.arguments {
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments =
        ["-c", "ulimit -n \(descriptors); exec \"$0\" \"$@\"", Self.executable.path] + command
    }
    let log = folder.appendingPathComponent("log")
    try Data().write(to: log)
    process.standardError = try FileHandle(forWritingTo: log)
    try process.run()
    try waitUntilListening(sockets: 1 + (overTCP ? 1 : 0) + arguments.count { $0 == "--listen" })
  }

  /// What the server has written to its standard error.
  var log: String { (try? String(contentsOf: folder.appendingPathComponent("log"), encoding: .utf8)) ?? "" }

  private func waitUntilListening(sockets: Int) throws {
    let found = waitUntil(seconds: 30) {
      log.components(separatedBy: "listening on ").count > sockets || !process.isRunning
    }
    guard found, process.isRunning else {
      throw StartFailure(description: "the server did not start: \(log)")
    }
    tcp = address("tcp://")
    tls = address("tls://")
  }

  /// Where the server says that it listens by such a transport; empty where it does not.
  private func address(_ scheme: String) -> String {
    guard let range = log.range(of: "listening on \(scheme)") else { return "" }
    return scheme + log[range.upperBound...].prefix { !$0.isWhitespace && $0 != "\"" }
  }

  struct StartFailure: Error, CustomStringConvertible { let description: String }

  // MARK: The end

  func signal(_ number: Int32) { _ = kill(pid, number) }

  /// The exit status, or the number of the signal that ended the process; nil when it still runs after so
  /// long.
  func exitStatus(within seconds: Double = 20) -> Int32? {
    waitUntil(seconds: seconds) { !process.isRunning } ? process.terminationStatus : nil
  }

  /// SIGTERM, and the exit status.
  func terminate() -> Int32? {
    signal(SIGTERM)
    return exitStatus()
  }

  deinit {
    if process.isRunning {
      signal(SIGKILL)
      _ = exitStatus()
    }
    try? FileManager.default.removeItem(at: folder)
  }

  // MARK: What the kernel knows of it

  /// Memory that lies in RAM, in bytes.
  var residentBytes: Int {
    let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
    return 1024 * (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0)
  }

  /// Descriptors that are open.
  var descriptors: Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count) ?? -1
  }

  /// Mappings of shared memory that a lane or a region is.
  var sharedMappings: Int {
    guard let file = fopen("/proc/\(pid)/maps", "r") else { return -1 }
    defer { fclose(file) }
    var count = 0
    var line = [CChar](repeating: 0, count: 4096)
    while fgets(&line, Int32(line.count), file) != nil { count += strstr(line, "memfd:") == nil ? 0 : 1 }
    return count
  }

  /// Processor time used, user and system, in clock ticks (proc(5), stat: fields 14 and 15).
  var processorTicks: Int {
    let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
    return fields.count > 13 ? (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0) : 0
  }

  /// Whether all threads are stopped.
  var isStopped: Bool {
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
    return !tasks.isEmpty
      && tasks.allSatisfy { task in
        let status = try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/status", encoding: .utf8)
        return status?.contains("State:\tT") == true
      }
  }

  // MARK: Paths

  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The `apus` that was built beside the tests.
  static var executable: URL {
    let beside = Bundle.main.executableURL!.deletingLastPathComponent().appendingPathComponent("apus")
    return FileManager.default.isExecutableFile(atPath: beside.path)
      ? beside : root.appendingPathComponent(".build/debug/apus")
  }
}

/// Looks until something is so; false when it is not after so many seconds.
func waitUntil(seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
  let end = Date().addingTimeInterval(seconds)
  while try !condition() {
    if Date() >= end { return false }
    usleep(5000)
  }
  return true
}

/// A folder of models that is removed with its owner.
final class ModelFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "apus-models-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
    unlink(path + ".yaml")
  }

  /// Writes a configuration beside the folder and gives its path.
  func configuration(_ text: String) throws -> String {
    try text.write(toFile: path + ".yaml", atomically: true, encoding: .utf8)
    return path + ".yaml"
  }

  /// Writes a file, with the folders above it.
  @discardableResult
  func write(_ name: String, _ contents: Data) throws -> Self {
    let url = URL(fileURLWithPath: path).appendingPathComponent(name)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try contents.write(to: url, options: .atomic)
    return self
  }

  /// Copies a file of `Tests/Fixtures`.
  @discardableResult
  func copy(_ fixture: String, to name: String) throws -> Self { try write(name, try Fixture.data(fixture)) }
}

/// Files of `Tests/Fixtures`.
enum Fixture {
  static func data(_ path: String) throws -> Data {
    try Data(contentsOf: ServerProcess.root.appendingPathComponent("Tests/Fixtures/\(path)"))
  }

  static func numbers<Number: BinaryFloatingPoint>(_ path: String, as type: Number.Type) throws -> [Number] {
    try data(path).withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: MemoryLayout<Number>.size).map {
        bytes.loadUnaligned(fromByteOffset: $0, as: Number.self)
      }
    }
  }
}

/// The largest difference between answers and PyTorch's in double precision.
func worstError(_ found: [Float], _ expected: ArraySlice<Double>) -> Double {
  guard found.count == expected.count else { return .infinity }
  return zip(found, expected).reduce(0) { worst, pair in
    let error = abs(Double(pair.0) - pair.1)
    return error.isNaN ? .infinity : max(worst, error)
  }
}
