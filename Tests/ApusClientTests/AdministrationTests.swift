import ApusBase
import ApusClient
import ApusWire
import Foundation
import Testing

/// Administration against a server that says what a test wants.
@Suite struct AdministrationTests {
  /// A folder that goes when the test ends.
  private final class Folder {
    let path: String
    init() throws {
      path = NSTemporaryDirectory() + "apus-\(UUID().uuidString)"
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
      try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    }
  }

  private static func version(_ state: ModelState) -> VersionResponse {
    var model = ModelInfo()
    model.name = "digits"
    model.version = 4
    model.state = state
    return VersionResponse(model: model, detail: state.name)
  }

  /// Takes pieces of 1000 bytes, and tells two steps before the last.
  private static func answer(_ request: ReceivedFrame, refusing: Method? = nil) -> [Step] {
    let id = request.header.requestID
    guard let method = Method(rawValue: request.header.method), method != refusing else {
      return [.send(statusFrame(id: id, Status(.failedPrecondition, "NO", "not now")))]
    }
    switch method {
    case .beginPublish:
      let begun = BeginPublishResponse(upload: 7, version: 4, maximumChunkBytes: 1000)
      return [.send(frame(.answer, method, id: id, metadata: encoded { begun.encode(into: $0, arena: $1) }))]
    case .upload:
      let received = UploadResponse(received: UInt64(request.body.count))
      let metadata = encoded { received.encode(into: $0, arena: $1) }
      return [.send(frame(.answer, method, id: id, metadata: metadata))]
    case .commitPublish, .load:
      return [(ModelState.loading, true), (.warming, true), (.ready, false)].map { state, more in
        let metadata = encoded { version(state).encode(into: $0, arena: $1) }
        return .send(frame(.answer, method, id: id, flags: more ? .more : [], metadata: metadata))
      }
    case .abortPublish: return [.send(frame(.answer, method, id: id, metadata: []))]
    default:
      let metadata = encoded { version(.withdrawn).encode(into: $0, arena: $1) }
      return [.send(frame(.answer, method, id: id, metadata: metadata))]
    }
  }

  private static let timeout: UInt64 = 10_000_000_000

  @Test func aFolderIsSentPieceByPieceAndItsStepsAreTold() throws {
    let folder = try Folder()
    let weights = (0..<2500).map { UInt8(truncatingIfNeeded: $0 * 7) }
    try folder.write("model.pt", weights)
    try folder.write("model.yaml", Array("top: 3".utf8))
    try folder.write("empty", [])
    for name in [".hidden", "manifest.json", "model.plan"] { try folder.write(name, [1]) }
    try FileManager.default.createDirectory(
      atPath: folder.path + "/folder", withIntermediateDirectories: true)
    let server = try FakeServer { Self.answer($0) }
    let client = try SynchronousClient(server.address)
    var told: [PublishProgress] = []
    let last = try client.publish(
      folder: folder.path, BeginPublishRequest(model: "digits"), timeoutNanoseconds: Self.timeout
    ) { told.append($0) }
    #expect(last == Self.version(.ready))
    #expect(told.first == .began(version: 4))
    #expect(
      told.suffix(3) == [
        .uploaded(bytes: 2506, of: 2506), .step(Self.version(.loading)), .step(Self.version(.warming)),
      ])
    let frames = server.frames
    #expect(frames.map(\.header.method) == [0x201, 0x202, 0x202, 0x202, 0x202, 0x203])
    let arena = MetadataArena(byteCount: 65_536)
    let begun = try frames[0].metadata.withUnsafeBytes { try BeginPublishRequest(decoding: $0, arena: arena) }
    #expect(begun.files.map(\.name) == ["empty", "model.pt", "model.yaml"])
    #expect(begun.files.map(\.size) == [0, 2500, 6])
    // SHA-256 of nothing, FIPS 180-4.
    #expect(begun.files[0].sha256.prefix(4) == [0xE3, 0xB0, 0xC4, 0x42])
    let pieces = try frames[1...4].map { frame in
      try frame.metadata.withUnsafeBytes { try UploadRequest(decoding: $0, arena: arena) }
    }
    #expect(pieces.map(\.file) == [1, 1, 1, 2] && pieces.map(\.offset) == [0, 1000, 2000, 0])
    #expect(Array(frames[1...3].map(\.body).joined()) == weights)
  }

  @Test(arguments: [Method.upload, .commitPublish])
  func whatFailsIsTakenBack(_ method: Method) throws {
    let folder = try Folder()
    try folder.write("model.pt", [UInt8](repeating: 1, count: 10_000))
    let server = try FakeServer { Self.answer($0, refusing: method) }
    let client = try SynchronousClient(server.address)
    #expect(throws: ClientError.self) {
      try client.publish(
        folder: folder.path, BeginPublishRequest(model: "digits"), timeoutNanoseconds: Self.timeout)
    }
    #expect(server.frames.last?.header.method == Method.abortPublish.rawValue)
    // The client is of use all the same.
    let version = try client.withdraw(
      VersionRequest(model: "digits", version: 4), timeoutNanoseconds: Self.timeout)
    #expect(version == Self.version(.withdrawn))
  }

  @Test func foldersThatCannotBePublishedAreRefused() throws {
    let folder = try Folder()
    #expect(throws: ClientError.self) { try PublishedFile.all(inFolder: folder.path) }
    #expect(throws: ClientError.self) { try PublishedFile.all(inFolder: folder.path + "/none") }
    try folder.write("model.pt", [1, 2, 3])
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/inside", withDestinationPath: folder.path + "/model.pt")
    #expect(try PublishedFile.all(inFolder: folder.path).map(\.name) == ["inside", "model.pt"])
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/outside", withDestinationPath: "/etc/passwd")
    #expect(throws: ClientError.self) { try PublishedFile.all(inFolder: folder.path) }
  }

  @Test func loadTellsItsSteps() throws {
    let server = try FakeServer { Self.answer($0) }
    let client = try SynchronousClient(server.address)
    var steps: [ModelState] = []
    let last = try client.load(
      VersionRequest(model: "digits", version: 4), timeoutNanoseconds: Self.timeout
    ) { steps.append($0.model.state) }
    #expect(steps == [.loading, .warming] && last.model.state == .ready)
  }
}
