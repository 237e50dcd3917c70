import ApusBase
import ApusClient
import ApusWire
import Foundation
import Testing

/// Versions come, change places and go while a real server answers.
@Suite struct PublishTests {
  private static let patience: UInt64 = 30_000_000_000
  private let repository: URL
  private let server: ServerProcess
  private let client: SynchronousClient

  init() throws {
    repository = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: repository, withIntermediateDirectories: true)
    try Self.copyDigits(to: repository.appending(path: "digits/1"))
    server = try ServerProcess(models: repository.path)
    client = try SynchronousClient(server.unix)
  }

  private static let digits = ServerProcess.root.appending(path: "models/repository/digits/1")

  private static func copyDigits(to folder: URL) throws {
    try FileManager.default.createDirectory(
      at: folder.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.copyItem(at: digits, to: folder)
  }

  @discardableResult
  private func publish(
    _ name: String = "digits", _ change: (inout BeginPublishRequest) -> Void = { _ in }
  ) throws -> VersionResponse {
    var request = BeginPublishRequest(model: name)
    change(&request)
    return try client.publish(folder: Self.digits.path, request, timeoutNanoseconds: Self.patience)
  }

  private func request(_ version: UInt64, note: String = "", delete: Bool = false) -> VersionRequest {
    VersionRequest(model: "digits", version: version, note: note, deleteFiles: delete)
  }

  /// The version that answers.
  private func answering(_ change: (inout ClassifyCall) -> Void = { _ in }) throws -> UInt64 {
    var call = ClassifyCall("digits")
    change(&call)
    var result = ClassifyResult()
    try client.classify([Float](repeating: 0.5, count: 64), call, into: &result)
    return result.version
  }

  private func reason(_ body: () throws -> some Any) -> String {
    do { _ = try body() } catch {
      if case .status(let status) = error as? ClientError { return status.reason }
      return "\(error)"
    }
    return "none"
  }

  private var hidden: [String] {
    let folder = repository.path + "/.apus/incoming"
    return (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  @Test func theNextCallGoesWhereTheActSaid() throws {
    #expect(try answering() == 1)
    for version in 2...6 as ClosedRange<UInt64> {
      #expect(try publish().model.version == version)
      #expect(try answering() == version)
    }
    for _ in 0..<20 {
      _ = try client.rollback(request(2), timeoutNanoseconds: Self.patience)
      #expect(try answering() == 2)
      _ = try client.rollback(request(5), timeoutNanoseconds: Self.patience)
      #expect(try answering() == 5)
    }
    #expect(hidden == [])
  }

  @Test func whatWasDecidedOutlivesTheServer() throws {
    try publish { $0.aliases = ["stable"] }
    try publish { $0.keepLatest = true }
    _ = try client.deprecate(request(1, note: "use 2"), timeoutNanoseconds: Self.patience)
    try publish()
    _ = try client.rollback(request(2), timeoutNanoseconds: Self.patience)
    _ = try client.unload(request(3), timeoutNanoseconds: Self.patience)
    _ = try client.withdraw(request(4), timeoutNanoseconds: Self.patience)
    let before = try client.models(timeoutNanoseconds: Self.patience)
    #expect(before.map(\.state) == [.ready, .ready, .unloaded, .withdrawn])
    #expect(before[1].aliases == ["latest", "stable"])
    #expect(before[0].deprecated == "use 2" && before[1].publishedBy == "uid:\(getuid())")
    #expect(server.terminate() == 0)
    let again = try ServerProcess(models: repository.path)
    let other = try SynchronousClient(again.unix)
    let after = try other.models(timeoutNanoseconds: Self.patience)
    #expect(after.map(\.state) == before.map(\.state))
    #expect(after.map(\.aliases) == before.map(\.aliases))
    #expect(after.map(\.deprecated) == before.map(\.deprecated))
    #expect(after.map(\.publishedNanoseconds) == before.map(\.publishedNanoseconds))
  }

  @Test func whatDoesNotLoadChangesNothing() throws {
    let broken = repository.appending(path: "../\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: broken, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: broken) }
    try Data("no model".utf8).write(to: broken.appending(path: "model.pth"))
    let refused = reason {
      try client.publish(
        folder: broken.path, BeginPublishRequest(model: "digits"), timeoutNanoseconds: Self.patience)
    }
    #expect(refused == "MODEL_FAILED")
    #expect(try answering() == 1)
    #expect(hidden == [])
    #expect(!FileManager.default.fileExists(atPath: repository.path + "/digits/2"))
    let acts = try client.history(HistoryRequest(model: "digits"), timeoutNanoseconds: Self.patience)
    #expect(acts.map(\.result) == ["FAILED_PRECONDITION"] && acts.map(\.act) == ["publish"])
  }

  @Test func whatCannotBeIsRefused() throws {
    #expect(reason { try publish { $0.version = 1 } } == "VERSION_EXISTS")
    for name in ["../digits", "a/b", ".hidden", "", String(repeating: "a", count: 129)] {
      #expect(reason { try publish(name) } != "none", "\(name)")
    }
    for name in ["../model.pth", "/etc/passwd", "a/b", ".hidden", "manifest.json", "", "a\nb"] {
      var request = BeginPublishRequest(model: "digits")
      request.files = [UploadFile(name: name, size: 1, sha256: [UInt8](repeating: 0, count: 32))]
      let refused = reason { try client.beginPublish(request, timeoutNanoseconds: Self.patience) }
      #expect(refused != "none", "\(name)")
    }
    for (version, expected) in [(0, "NOTHING_BEFORE"), (9, "VERSION_NOT_FOUND")] as [(UInt64, String)] {
      let refused = reason { try client.rollback(request(version), timeoutNanoseconds: Self.patience) }
      #expect(refused == expected)
    }
    let alias = SetAliasRequest(model: "digits", alias: "stable", version: 9)
    #expect(reason { try client.setAlias(alias, timeoutNanoseconds: Self.patience) } == "VERSION_NOT_FOUND")
    #expect(hidden == [])
    #expect(try answering() == 1)
  }

  @Test func piecesComeInOrderAndAsTheyWereAnnounced() throws {
    var begin = BeginPublishRequest(model: "digits")
    begin.files = [UploadFile(name: "model.pth", size: 4, sha256: [UInt8](repeating: 7, count: 32))]
    let begun = try client.beginPublish(begin, timeoutNanoseconds: Self.patience)
    func send(_ file: UInt32, _ offset: UInt64, _ bytes: [UInt8]) throws -> UInt64 {
      let piece = UploadRequest(upload: begun.upload, file: file, offset: offset)
      return try bytes.withUnsafeBytes {
        try client.upload(piece, $0, timeoutNanoseconds: Self.patience).received
      }
    }
    #expect(try send(0, 0, [1, 2]) == 2)
    #expect(reason { try send(0, 0, [1, 2]) } == "PIECE_REFUSED")
    #expect(reason { try send(0, 2, [1, 2, 3]) } == "PIECE_REFUSED")
    #expect(reason { try send(1, 0, [1]) } == "PIECE_REFUSED")
    let early = reason { try client.commitPublish(begun.upload, timeoutNanoseconds: Self.patience) { _ in } }
    #expect(early == "FILES_REFUSED")
    #expect(reason { try send(0, 2, [3]) } == "UPLOAD_NOT_FOUND")
    #expect(hidden == [])
  }

  /// A share by chance, and one side for each key.
  @Test func aCanaryGetsItsShare() throws {
    try publish { $0.keepLatest = true }
    let traffic = SetTrafficRequest(model: "digits", version: 2, weight: 2000)
    _ = try client.setTraffic(traffic, timeoutNanoseconds: Self.patience)
    let byChance = try (0..<2000).count { _ in try answering() == 2 }
    #expect((300...500).contains(byChance))
    #expect(try answering { $0.version = 1 } == 1)
    var sides: Set<UInt64> = []
    for caller in 0..<40 {
      let side = try answering { $0.routeKey = "caller \(caller)" }
      sides.insert(side)
      for _ in 0..<5 { #expect(try answering { $0.routeKey = "caller \(caller)" } == side) }
    }
    #expect(sides == [1, 2])
  }

  @Test func aVersionLeavesMemoryAndComesBack() throws {
    try publish()
    let gone = try client.unload(request(1), timeoutNanoseconds: Self.patience)
    #expect(gone.model.state == .unloaded && gone.detail.contains("returned"))
    #expect(reason { try answering { $0.version = 1 } } == "MODEL_UNLOADED")
    #expect(try answering() == 2)
    let back = try client.rollback(request(1), timeoutNanoseconds: Self.patience)
    #expect(back.model.state == .ready)
    #expect(try answering() == 1)
    _ = try client.withdraw(request(2, delete: true), timeoutNanoseconds: Self.patience)
    #expect(!FileManager.default.fileExists(atPath: repository.path + "/digits/2"))
    #expect(try publish().model.version == 3)
  }

  /// Files that were changed after they were published are not served again.
  @Test func changedFilesAreFound() throws {
    try publish()
    let file = repository.appending(path: "digits/2/model.yaml")
    #expect(reason { try client.verify(request(2), timeoutNanoseconds: Self.patience) } == "none")
    try (try Data(contentsOf: file) + Data("# changed\n".utf8)).write(to: file)
    #expect(reason { try client.verify(request(2), timeoutNanoseconds: Self.patience) } == "FILES_CHANGED")
    #expect(server.terminate() == 0)
    let again = try ServerProcess(models: repository.path)
    let models = try SynchronousClient(again.unix).models(timeoutNanoseconds: Self.patience)
    #expect(models.map(\.state) == [.ready, .failed])
    #expect(models[1].reason.contains("not those that were published"))
  }
}
