import ArgumentParser
import Foundation

@testable import ApusCommand

/// A folder that goes when the test ends.
final class TemporaryFolder {
  /// Ends in `/`.
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path + "/"
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and gives its path.
  func file(_ text: String, name: String = "apus.yaml") throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + name))
    return path + name
  }
}

let projectFolder = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// What a file with this text is said to have wrong, without its path and a space before each line.
func fileProblems(_ text: String) throws -> [String] {
  let folder = try TemporaryFolder()
  let path = try folder.file(text)
  return ConfigurationLayer(file: path).problems.map { problem in
    problem.hasPrefix(path) ? String(problem.dropFirst(path.count)) : "(without its file) " + problem
  }
}

/// The layer of a file with this text.
func fileLayer(_ text: String) throws -> ConfigurationLayer {
  let folder = try TemporaryFolder()
  return ConfigurationLayer(file: try folder.file(text))
}

/// What the command line of `apus serve` says.
func flagLayer(_ arguments: [String]) throws -> ConfigurationLayer {
  ConfigurationLayer(flags: try Serve.parse(arguments).flags)
}

/// The line by which a start is refused, or nil.
func refusal(
  file: String? = nil, flags: [String] = [], environment: [String: String] = [:]
) throws -> String? {
  let flags = try Serve.parse(flags).flags
  do throws(ConfigurationError) {
    _ = try ServeConfiguration(file: file, flags: flags, environment: environment)
    return nil
  } catch {
    return error.description
  }
}

extension ConfigurationKey {
  /// The key in a file of its own, with a text as its value; the value is in the last line.
  func yaml(_ text: String) -> String {
    let names = rawValue.split(separator: ".")
    return names.enumerated().map { depth, name in
      String(repeating: "  ", count: depth) + "\(name):" + (depth + 1 < names.count ? "" : " \(text)") + "\n"
    }.joined()
  }

  var valueLine: Int { rawValue.split(separator: ".").count }

  /// Texts for the file, the variable and the flag; each differs from the one before, and the first from the
  /// default.
  var samples: [String] {
    switch form {
    case .addresses: ["unix:/f.sock", "unix:/e.sock", "unix:/g.sock"]
    case .httpAddresses: ["127.0.0.1:8001", "http://127.0.0.1:8002", "http://[::1]:8003"]
    case .name: ["f", "e", "g"]
    case .file, .folder, .madeFolder, .output: ["/f", "/e", "/g"]
    case .repository: ["/f", "s3://b/e", "https://g/g?x=1"]
    case .url: ["http://f", "https://e:1/e", "http://g"]
    case .number(let range):
      [
        "\(range.lowerBound + (row.standard == .number(range.lowerBound + 1) ? 2 : 1))",
        "\(range.upperBound)", "\(range.lowerBound + 3)",
      ]
    case .truth: ["true", "false", "true"]
    case .mode: ["0600", "0666", "0644"]
    case .choice(let names): [names[0], names[1], names[0]]
    }
  }

  /// The words of the flag for a value.
  func arguments(_ text: String) -> [String] {
    guard let flag else { return [] }
    return form == .truth ? [flag] : [flag, text]
  }
}

/// A run of the `apus` that was built beside the tests.
struct Run {
  let status: Int32
  let output: String
  let errors: String

  init(_ arguments: [String], environment: [String: String] = [:], folder: String = "/") throws {
    let process = Process()
    process.executableURL = Bundle.main.executableURL!.deletingLastPathComponent()
      .appendingPathComponent("apus")
    process.arguments = arguments
    process.environment = environment
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    self.output = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    self.errors = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    status = process.terminationStatus
  }
}
