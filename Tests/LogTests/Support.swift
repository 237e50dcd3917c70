import ApusLog
import Foundation
import Testing

let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

/// The `apus` that was built beside the tests.
var apusExecutable: URL {
  let beside = Bundle.main.executableURL!.deletingLastPathComponent().appendingPathComponent("apus")
  return FileManager.default.isExecutableFile(atPath: beside.path)
    ? beside : root.appendingPathComponent(".build/debug/apus")
}

/// A folder that goes when the test ends.
final class Folder {
  /// Ends in `/`.
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "apus-log-\(UUID().uuidString.prefix(8))/"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ text: String, _ name: String) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + name))
    return path + name
  }

  func text(_ name: String) -> String {
    let data = try? Data(contentsOf: URL(fileURLWithPath: path + name))
    return data.map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// Every line, read by Foundation: it must be a JSON object.
  func lines(_ name: String) throws -> [[String: Any]] { try parsed(text(name)) }
}

func parsed(_ text: String) throws -> [[String: Any]] {
  try text.split(separator: "\n").map { line in
    try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
  }
}

func waitUntil(seconds: Double = 20, _ condition: () throws -> Bool) rethrows -> Bool {
  let end = Date().addingTimeInterval(seconds)
  while try !condition() {
    if Date() >= end { return false }
    usleep(10_000)
  }
  return true
}

/// A real server with a configuration file, whose standard error is a file.
final class LoggedServer {
  let folder: Folder
  private let process = Process()
  var address: String { "unix:\(folder.path)s" }
  var pid: pid_t { process.processIdentifier }

  /// - Parameter log: lines of the file's `log:` map; `FOLDER/` in them becomes the test's folder.
  /// The model `digits` takes batches of any size, so that a call can be slow.
  init(log: String, _ arguments: [String] = []) throws {
    folder = try Folder()
    let models = URL(fileURLWithPath: folder.path + "models")
    try FileManager.default.copyItem(at: root.appendingPathComponent("models/repository"), to: models)
    let manifest = models.appendingPathComponent("digits/1/model.yaml")
    let text = try String(contentsOf: manifest, encoding: .utf8)
    let changed = text.replacingOccurrences(of: "max: 1024", with: "max: 65536")
    try Data(changed.utf8).write(to: manifest)
    let config = try folder.write(configuration(log), "apus.yaml")
    process.executableURL = apusExecutable
    process.arguments =
      [
        "serve", "--models", models.path, "--listen", "unix:\(folder.path)s",
        "--config", config, "--threads", "2",
      ] + arguments
    _ = try folder.write("", "stderr")
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path + "stderr"))
    try process.run()
    try #require(
      waitUntil { FileManager.default.fileExists(atPath: folder.path + "s") || !process.isRunning },
      "\(errors)")
    try #require(process.isRunning, "\(errors)")
  }

  private func configuration(_ log: String) -> String {
    log.isEmpty ? "" : "log:\n" + log.replacingOccurrences(of: "FOLDER/", with: folder.path) + "\n"
  }

  func configure(log: String) throws { _ = try folder.write(configuration(log), "apus.yaml") }

  var errors: String { folder.text("stderr") }

  func signal(_ number: Int32) { _ = kill(pid, number) }

  /// Drains it; the exit status.
  func end() -> Int32 {
    signal(SIGTERM)
    process.waitUntilExit()
    return process.terminationStatus
  }

  deinit {
    guard process.isRunning else { return }
    signal(SIGKILL)
    process.waitUntilExit()
  }
}

/// A run of `apus` to its end.
func run(
  _ arguments: [String], input: String? = nil
) throws -> (status: Int32, output: String, errors: String) {
  let process = Process()
  process.executableURL = apusExecutable
  process.arguments = arguments
  let folder = try Folder()
  let files = try ["in", "out", "err"].map { try folder.write($0 == "in" ? input ?? "" : "", $0) }
  process.standardInput = FileHandle(forReadingAtPath: files[0])
  process.standardOutput = FileHandle(forWritingAtPath: files[1])
  process.standardError = FileHandle(forWritingAtPath: files[2])
  try process.run()
  process.waitUntilExit()
  return (process.terminationStatus, folder.text("out"), folder.text("err"))
}
