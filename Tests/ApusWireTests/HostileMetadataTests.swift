import ApusBase
import ApusWire
import Testing

/// Metadata made to exhaust, confuse or mislead.
@Suite struct HostileMetadataTests {
  @Test func aFullArenaRefusesAndIsGoodForTheNext() {
    let many = request([Message](repeating: part(), count: 100))
    #expect(refusal(many) == "INPUT_COUNT")
    #expect(refusal(many, arenaBytes: 2048) == "METADATA_BROKEN")
    let arena = makeArena(byteCount: 2048)
    for message in [many, request(), many, request()] {
      let isTaken = message.bytes.withUnsafeBytes { metadata in
        (try? ClassifyRequest(decoding: metadata, bodyBytes: 64, arena: arena)) != nil
      }
      #expect(isTaken == (message.bytes == request().bytes))
    }
  }

  /// Decoded fields are larger than their encoding: an empty part is 2 bytes and becomes a struct of over
  /// 100.
  @Test func smallMessagesCannotTakeMuchMemory() {
    let empties = Message(bytes: [UInt8]((0..<32_000).flatMap { _ in [0x22, 0x00] as [UInt8] }))
    #expect(refusal(empties) == "METADATA_BROKEN")
    #expect(refusal(empties, arenaBytes: 64 << 20) == "INPUT_COUNT")
  }

  /// Messages within messages, as deep as 64 KiB go, in each field and as lengths, groups and endless
  /// numbers.
  @Test func nestedJunkIsRefusedOrSkipped() {
    var deep: [UInt8] = []
    while deep.count < (64 << 10) - 8 { deep = Message().data(4, deep).bytes }
    #expect(refusal(Message(bytes: deep)) != nil)
    #expect(refusal(Message(bytes: request().bytes + Message().data(99, deep.dropLast(64)).bytes)) == nil)
    for byte in UInt8.min...UInt8.max {
      #expect(refusal(Message(bytes: [UInt8](repeating: byte, count: 64 << 10))) != nil)
    }
    var generator = SplitMix64(state: 7)
    for _ in 0..<2000 {
      let junk = (0..<Int(generator.next() % 300)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      _ = refusal(Message(bytes: junk))
    }
  }

  @Test func everyPrefixIsRefusedOrMeansLess() {
    let bytes = request().number(5, 3).text(3, "stable").bytes
    for count in 0..<bytes.count { _ = refusal(Message(bytes: Array(bytes.prefix(count)))) }
    #expect(refusal(Message(bytes: bytes.dropLast())) == "METADATA_BROKEN")
  }

  // MARK: Text

  private static let brokenTexts: [[UInt8]] = [
    Array("digits\0x".utf8), [0], Array("digits\0".utf8), [0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80],
    [0xE2, 0x82],
    [0xF4, 0x90, 0x80, 0x80],
  ]

  @Test(arguments: brokenTexts)
  func textsWithZeroBytesOrThatAreNoUTF8AreRefused(_ text: [UInt8]) {
    #expect(refusal(Message().data(1, text).message(4, part())) == "TEXT_BROKEN")
    #expect(refusal(request().data(3, text)) == "TEXT_BROKEN")
    #expect(refusal(request().data(11, text)) == "TEXT_BROKEN")
    // The last of two counts for protobuf; neither may be broken.
    #expect(refusal(Message().data(1, text).message(4, part()).text(1, "digits")) == "TEXT_BROKEN")
    let arena = makeArena()
    Message().data(1, text).bytes.withUnsafeBytes { metadata in
      #expect(throws: Status.self) { try ModelNameRequest(decoding: metadata, arena: arena) }
      #expect(throws: Status.self) { try GetModelRequest(decoding: metadata, arena: arena) }
    }
    Message().data(3, text).bytes.withUnsafeBytes { metadata in
      #expect(throws: Status.self) { try GetModelRequest(decoding: metadata, arena: arena) }
      #expect(throws: Status.self) { try HelloRequest(decoding: metadata, arena: arena) }
    }
  }

  @Test func otherBytesMayHaveAnyValue() {
    // A trace parent is bytes, an unknown field anything; numbers of ten bytes and fixed widths are stepped
    // over.
    let wide: [UInt8] = [0xD1, 0x06] + [UInt8](repeating: 0, count: 8) + [0xD5, 0x06, 0, 0, 0, 0]
    let message = Message(
      bytes: request().data(10, [0, 0xFF]).data(1000, [0, 0xFF]).number(100, .max).bytes + wide)
    #expect(refusal(message) == nil)
    #expect(refusal(Message(bytes: message.bytes).data(1, [0])) == "TEXT_BROKEN")
  }

  @Test func textsOfEveryLengthAndScriptAreTaken() throws {
    for name in ["", "d", "zwölf", "数字", "🙂", String(repeating: "x", count: 10_000)] {
      let isSame = try classifying(request(model: name)) { Array($0.model.name) == Array(name.utf8) }
      #expect(isSame)
    }
  }
}

/// Random numbers that are the same in every run (prng.di.unimi.it/splitmix64.c).
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
