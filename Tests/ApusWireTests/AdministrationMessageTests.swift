import ApusBase
import ApusWire
import Testing

/// The messages of administration come back as they were written, with the numbers of apus.proto, and what a
/// caller may not say is refused.
@Suite struct AdministrationMessageTests {
  private func decoded<Value>(
    _ bytes: [UInt8], _ decode: (UnsafeRawBufferPointer, borrowing MetadataArena) throws -> Value
  ) throws -> Value {
    let arena = makeArena()
    return try bytes.withUnsafeBytes { try decode($0, arena) }
  }

  /// The reason for which bytes are refused; nil when they are taken.
  private func refused<Value>(
    _ message: Message, _ decode: (UnsafeRawBufferPointer, borrowing MetadataArena) throws -> Value
  ) -> String? {
    do {
      _ = try decoded(message.bytes, decode)
      return nil
    } catch { return (error as? Status)?.reason ?? "\(error)" }
  }

  private let digest = [UInt8](0..<32)

  private func file(_ name: String = "model.pt", sha256: [UInt8]? = nil) -> Message {
    Message().text(1, name).number(2, 1000).data(3, sha256 ?? digest)
  }

  // MARK: Publishing

  @Test func beginPublish() throws {
    var request = BeginPublishRequest(model: "digits")
    request.version = 7
    request.files = [
      UploadFile(name: "model.pt", size: 1000, sha256: digest),
      UploadFile(name: "model.yaml", size: .max, sha256: digest.reversed()),
    ]
    request.source = "build 4711"
    request.aliases = ["stable", "zwölf"]
    request.keepLatest = true
    let bytes = encoded { request.encode(into: $0, arena: $1) }
    let expected = Message().text(1, "digits").number(2, 7).message(3, file())
      .message(3, Message().text(1, "model.yaml").number(2, .max).data(3, digest.reversed()))
      .text(4, "build 4711").text(5, "stable").text(5, "zwölf").number(6, 1)
    #expect(bytes == expected.bytes)
    #expect(try decoded(bytes) { try BeginPublishRequest(decoding: $0, arena: $1) } == request)

    let response = BeginPublishResponse(upload: .max, version: 8, maximumChunkBytes: 1 << 20)
    let answer = encoded { response.encode(into: $0, arena: $1) }
    #expect(answer == Message().number(1, .max).number(2, 8).number(3, 1 << 20).bytes)
    #expect(try decoded(answer) { try BeginPublishResponse(decoding: $0, arena: $1) } == response)
  }

  @Test func whatNoVersionHasIsRefused() {
    func begin(files: Int = 1, aliases: Int = 0, sha256: [UInt8]? = nil) -> Message {
      var message = Message().text(1, "digits")
      for number in 0..<files { message = message.message(3, file("f\(number)", sha256: sha256)) }
      for number in 0..<aliases { message = message.text(5, "a\(number)") }
      return message
    }
    func reason(_ message: Message) -> String? {
      refused(message) { try BeginPublishRequest(decoding: $0, arena: $1) }
    }
    #expect(reason(begin()) == nil)
    #expect(reason(begin(files: 64, aliases: 16)) == nil)
    #expect(reason(begin(files: 65)) == "PUBLICATION_INVALID")
    #expect(reason(begin(aliases: 17)) == "PUBLICATION_INVALID")
    #expect(reason(begin(sha256: [])) == "PUBLICATION_INVALID")
    #expect(reason(begin(sha256: Array(0..<31))) == "PUBLICATION_INVALID")
    #expect(reason(begin(sha256: Array(0..<33))) == "PUBLICATION_INVALID")
    // As many as fit into the metadata, each larger when it is read: refused before they take memory.
    let many = Message(bytes: [UInt8]((0..<32_000).flatMap { _ in [0x1A, 0x00] as [UInt8] }))
    #expect(reason(many) == "METADATA_BROKEN")
  }

  @Test func pieces() throws {
    let request = UploadRequest(upload: 3, file: 63, offset: 1 << 40)
    let bytes = encoded { request.encode(into: $0, arena: $1) }
    #expect(bytes == Message().number(1, 3).number(2, 63).number(3, 1 << 40).bytes)
    #expect(try decoded(bytes) { try UploadRequest(decoding: $0, arena: $1) } == request)

    let response = UploadResponse(received: 1 << 41)
    let answer = encoded { response.encode(into: $0, arena: $1) }
    #expect(answer == Message().number(1, 1 << 41).bytes)
    #expect(try decoded(answer) { try UploadResponse(decoding: $0, arena: $1) } == response)

    let publication = PublicationRequest(upload: 9)
    let end = encoded { publication.encode(into: $0, arena: $1) }
    #expect(end == Message().number(1, 9).bytes)
    #expect(try decoded(end) { try PublicationRequest(decoding: $0, arena: $1) } == publication)
  }

  // MARK: Versions

  @Test func versions() throws {
    let request = VersionRequest(model: "digits", version: 3, note: "too slow", deleteFiles: true)
    let bytes = encoded { request.encode(into: $0, arena: $1) }
    #expect(bytes == Message().text(1, "digits").number(2, 3).text(3, "too slow").number(4, 1).bytes)
    #expect(try decoded(bytes) { try VersionRequest(decoding: $0, arena: $1) } == request)

    var model = ModelInfo()
    model.name = "digits"
    model.version = 3
    model.state = .draining
    model.weight = 10_000
    for response in [
      VersionResponse(model: model, detail: "draining"), VersionResponse(model: ModelInfo(), detail: ""),
    ] {
      let answer = encoded { response.encode(into: $0, arena: $1) }
      #expect(try decoded(answer) { try VersionResponse(decoding: $0, arena: $1) } == response)
    }
    #expect(try decoded([]) { try VersionResponse(decoding: $0, arena: $1) }.model == ModelInfo())
  }

  @Test func aliases() throws {
    let request = SetAliasRequest(model: "digits", alias: "stable", version: 4)
    let bytes = encoded { request.encode(into: $0, arena: $1) }
    #expect(bytes == Message().text(1, "digits").text(2, "stable").number(3, 4).bytes)
    #expect(try decoded(bytes) { try SetAliasRequest(decoding: $0, arena: $1) } == request)
  }

  @Test func traffic() throws {
    var bounds = TrafficBounds()
    bounds.maximumErrors = 100
    bounds.maximumLatencyRatio = 1.5
    bounds.windowNanoseconds = 60_000_000_000
    bounds.minimumCalls = 50
    for request in [
      SetTrafficRequest(model: "digits", version: 4, weight: 10_000, bounds: bounds),
      SetTrafficRequest(model: "digits", version: 4, weight: 0, shadow: true),
      SetTrafficRequest(model: "digits", version: 4, weight: 1, bounds: TrafficBounds()),
    ] {
      let bytes = encoded { request.encode(into: $0, arena: $1) }
      #expect(try decoded(bytes) { try SetTrafficRequest(decoding: $0, arena: $1) } == request)
    }
  }

  @Test func sharesOverTheWholeAndRatiosThatAreNoneAreRefused() {
    func reason(weight: UInt64 = 1, errors: UInt64 = 0, ratio: Double = 0) -> String? {
      let bits = (0..<8).map { UInt8(truncatingIfNeeded: ratio.bitPattern >> (8 * $0)) }
      let bounds = Message(bytes: Message().number(1, errors).bytes + [0x11] + bits)
      return refused(Message().text(1, "digits").number(3, weight).message(5, bounds)) {
        try SetTrafficRequest(decoding: $0, arena: $1)
      }
    }
    #expect(reason() == nil)
    #expect(reason(weight: 10_000, errors: 10_000, ratio: 1e308) == nil)
    #expect(reason(weight: 10_001) == "TRAFFIC_INVALID")
    #expect(reason(errors: 10_001) == "TRAFFIC_INVALID")
    for ratio in [-0.5, .nan, .infinity, -.infinity] { #expect(reason(ratio: ratio) == "TRAFFIC_INVALID") }
  }

  /// A peer's drift that is no number would be unlike itself.
  @Test func driftIsANumber() throws {
    let bits = (0..<8).map { UInt8(truncatingIfNeeded: Double.nan.bitPattern >> (8 * $0)) }
    let drift = Message(bytes: [0x09] + bits).data(2, bits)
    let bytes = Message().message(2, Message().message(10, drift)).bytes
    let model = try decoded(bytes) { try StatsResponse(decoding: $0, arena: $1) }.models[0]
    #expect(model.drift?.classes == 0 && model.drift?.inputs == [0] && model.shadow == nil)
  }

  // MARK: History

  @Test func history() throws {
    let request = HistoryRequest(model: "digits", limit: 20)
    let bytes = encoded { request.encode(into: $0, arena: $1) }
    #expect(bytes == Message().text(1, "digits").number(2, 20).bytes)
    #expect(try decoded(bytes) { try HistoryRequest(decoding: $0, arena: $1) } == request)
    #expect(try decoded([]) { try HistoryRequest(decoding: $0, arena: $1) } == HistoryRequest())

    var act = Act()
    act.sequence = 1
    act.timeNanoseconds = 2
    act.who = "user:anna"
    act.from = "unix"
    act.act = "publish"
    act.model = "digits"
    act.version = 3
    act.detail = "4 files"
    act.result = "ok"
    let response = HistoryResponse(acts: [act, Act()])
    let answer = encoded { response.encode(into: $0, arena: $1) }
    let line = Message().number(1, 1).number(2, 2).text(3, "user:anna").text(4, "unix").text(5, "publish")
      .text(6, "digits").number(7, 3).text(8, "4 files").text(9, "ok")
    #expect(answer == Message().message(1, line).message(1, Message()).bytes)
    #expect(try decoded(answer) { try HistoryResponse(decoding: $0, arena: $1) } == response)
  }

  // MARK: Hostile bytes

  @Test(arguments: [[0xFF], [0x64, 0x00], [0], [0xED, 0xA0, 0x80]] as [[UInt8]])
  func textsWithZeroBytesOrThatAreNoUTF8AreRefused(_ text: [UInt8]) {
    let inFile = Message().message(3, Message().data(1, text).data(3, digest))
    for message in [Message().data(1, text), Message().data(4, text), Message().data(5, text), inFile] {
      #expect(refused(message) { try BeginPublishRequest(decoding: $0, arena: $1) } == "TEXT_BROKEN")
    }
    for field: UInt64 in [1, 3] {
      let message = Message().data(field, text)
      #expect(refused(message) { try VersionRequest(decoding: $0, arena: $1) } == "TEXT_BROKEN")
    }
    for field: UInt64 in [1, 2] {
      let message = Message().data(field, text)
      #expect(refused(message) { try SetAliasRequest(decoding: $0, arena: $1) } == "TEXT_BROKEN")
    }
    let message = Message().data(1, text)
    #expect(refused(message) { try SetTrafficRequest(decoding: $0, arena: $1) } == "TEXT_BROKEN")
    #expect(refused(message) { try HistoryRequest(decoding: $0, arena: $1) } == "TEXT_BROKEN")
  }

  @Test func junkIsRefusedAndNeverMoreThanIsAllowed() {
    var deep: [UInt8] = []
    while deep.count < (64 << 10) - 8 { deep = Message().data(3, deep).bytes }
    for bytes in [deep, [UInt8](repeating: 0xFF, count: 4096), [0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0]] {
      let message = Message(bytes: bytes)
      #expect(refused(message) { try BeginPublishRequest(decoding: $0, arena: $1) } != nil)
    }
    for byte in UInt8.min...UInt8.max {
      let bytes = [UInt8](repeating: byte, count: 4096)
      let begun = try? decoded(bytes) { try BeginPublishRequest(decoding: $0, arena: $1) }
      #expect(begun?.files.isEmpty ?? true && begun?.model.isEmpty ?? true)
      let traffic = try? decoded(bytes) { try SetTrafficRequest(decoding: $0, arena: $1) }
      #expect((traffic?.weight ?? 0) <= 10_000)
      _ = try? decoded(bytes) { try VersionResponse(decoding: $0, arena: $1) }
      _ = try? decoded(bytes) { try HistoryResponse(decoding: $0, arena: $1) }
    }
  }

  @Test func everyPrefixIsRefusedOrMeansLess() {
    let bytes = Message().text(1, "digits").message(3, file()).text(4, "build").bytes
    let ends = [0, 8, bytes.count - 7, bytes.count]
    for count in 0...bytes.count {
      let message = Message(bytes: Array(bytes.prefix(count)))
      let reason = refused(message) { try BeginPublishRequest(decoding: $0, arena: $1) }
      #expect(reason == (ends.contains(count) ? nil : "METADATA_BROKEN"), "\(count) bytes")
    }
  }

  @Test func whatDoesNotFitIsNotWritten() {
    let act = Act()
    let acts = [Act](repeating: act, count: 20_000)
    #expect(encoded { HistoryResponse(acts: acts).encode(into: $0, arena: $1) }.isEmpty)
    var request = BeginPublishRequest(model: "digits")
    request.source = String(repeating: "x", count: 70_000)
    #expect(encoded { request.encode(into: $0, arena: $1) }.isEmpty)
    let version = VersionRequest(model: "digits", version: 1, note: "note")
    let count = encoded { version.encode(into: $0, arena: $1) }.count
    #expect(encoded(room: count) { version.encode(into: $0, arena: $1) }.count == count)
    #expect(encoded(room: count - 1) { version.encode(into: $0, arena: $1) }.isEmpty)
  }
}
