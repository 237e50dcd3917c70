import Foundation

@testable import ApusModels

/// A folder of models that is removed with its owner.
final class TemporaryRepository {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "apus-models-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Writes a file, with the folders above it.
  @discardableResult
  func write(_ path: String, _ contents: Data) throws -> Self {
    let url = folder.appending(path: path)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try contents.write(to: url)
    return self
  }

  @discardableResult
  func write(_ path: String, _ text: String) throws -> Self { try write(path, Data(text.utf8)) }

  /// Copies a model of `Tests/Fixtures/torch`.
  @discardableResult
  func copy(_ fixture: String, to path: String) throws -> Self { try write(path, try Self.fixture(fixture)) }

  func link(_ path: String, to target: String) throws {
    let url = folder.appending(path: path)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: url.path, withDestinationPath: target)
  }

  func load() throws -> [ModelVersion] { try ModelRepository(path: folder.path).load() }

  static func fixture(_ path: String) throws -> Data {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try Data(contentsOf: tests.appending(path: "Fixtures/torch").appending(path: path))
  }
}

extension ModelVersion {
  /// The reason of a failure, or nil for a version that is ready.
  var reason: String? {
    if case .failed(let reason) = state { reason } else { nil }
  }
}
