import ApusBase
import ApusWire
import Testing

/// A request of method Classify with metadata 1, 2, 3 … and a body of 0xAB, as bytes.
private func frame(_ change: (inout FrameHeader) -> Void = { _ in }, metadata: Int = 10, body: Int = 100)
  -> [UInt8]
{
  var header = FrameHeader(
    kind: .request, method: Method.classify.rawValue, requestID: 7, metadataBytes: metadata, bodyBytes: body)
  change(&header)
  let layout = FrameLayout(metadataBytes: metadata, bodyBytes: body)
  var bytes = [UInt8](repeating: 0, count: layout.frameBytes)
  bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
  for index in 0..<metadata { bytes[FrameHeader.byteCount + index] = UInt8(index + 1) }
  for index in 0..<body { bytes[layout.bodyOffset + index] = 0xAB }
  return bytes
}

private func decode(_ bytes: [UInt8], reader: FrameDecoder.Reader = .server) -> FrameDecoder.Step {
  bytes.withUnsafeBytes { FrameDecoder(reader: reader, limits: Limits()).next($0) }
}

private func error(_ bytes: [UInt8], reader: FrameDecoder.Reader = .server) -> FrameError? {
  if case .broken(let error, _) = decode(bytes, reader: reader) { error } else { nil }
}

@Suite struct FrameDecoderTests {
  @Test func wholeFrameIsFoundWhateverFollows() {
    guard case .frame(let found) = decode(frame() + [1, 2, 3]) else {
      Issue.record("no frame")
      return
    }
    #expect(found.header.requestID == 7)
    #expect(found.layout.bodyOffset == 64)
    #expect(found.layout.frameBytes == 192)
  }

  @Test func everyPrefixNeedsMore() {
    let bytes = frame()
    for count in 0..<bytes.count {
      guard case .needMore(let total) = decode(Array(bytes.prefix(count))) else {
        Issue.record("a frame in \(count) bytes")
        return
      }
      #expect(total == (count < FrameHeader.byteCount ? FrameHeader.byteCount : bytes.count))
    }
  }

  @Test func otherProtocolsAreToldWithTheirFirstBytes() {
    #expect(error(Array("GET / HTTP/1.1\r\n".utf8)) == .notApus)
    #expect(error([UInt8(ascii: "A"), UInt8(ascii: "x")]) == .notApus)
  }

  @Test func unknownVersionsKindsAndFlagsAreRefused() {
    #expect(error(frame { $0.version = 2 }) == .version(2))
    #expect(error(frame { $0.kind = 9 }) == .kind(9))
    #expect(error(frame { $0.kind = FrameKind.skip.rawValue }) == .kind(0))
    #expect(error(frame { $0.kind = FrameKind.answer.rawValue }) == .kind(2))
    #expect(error(frame { $0.flags = 8 }) == .flags(8))
    #expect(error(frame { $0.flags = 1 }) == .flags(1))
    #expect(error(frame(), reader: .client) == .kind(1))
  }

  @Test func lengthsAreHeldAgainstTheirLimitsOneByOne() {
    #expect(error(frame { $0.metadataBytes = .max }) == .metadataTooLong(.max, limit: 64 << 10))
    #expect(error(frame { $0.bodyBytes = 1 << 63 }) == .bodyTooLong(1 << 63, limit: 64 << 20))
    #expect(error(frame { $0.bodyBytes = .max }) == .bodyTooLong(.max, limit: 64 << 20))
  }

  @Test func paddingMustBeZero() {
    for offset in [42, 63, 164, 191] {
      var bytes = frame()
      bytes[offset] = 1
      #expect(error(bytes) == .paddingNotZero)
    }
  }

  @Test func requestIDZeroIsTheConnectionsOwn() {
    #expect(error(frame { $0.requestID = 0 }) == .requestIDZero)
    #expect(
      error(
        frame {
          $0.requestID = 0
          $0.method = Method.hello.rawValue
        }) == nil)
  }

  @Test func cancelHasNoContent() {
    #expect(error(frame { $0.kind = FrameKind.cancel.rawValue }) == .contentNotAllowed)
    #expect(error(frame({ $0.kind = FrameKind.cancel.rawValue }, metadata: 0, body: 0)) == nil)
  }
}

@Suite struct TimeAccountTests {
  @Test(arguments: [0, 1, 127, 128, 1 << 20, 1 << 35, 1 << 42 - 1] as [UInt64])
  func accountsComeBackAsTheyWereWritten(_ value: UInt64) {
    var account = TimeAccount()
    account.receive = value
    account.queue = value / 2
    account.compute = value / 3
    account.encode = value / 5
    account.total = value
    account.batchRows = UInt32(value % 70_000)
    var bytes = [UInt8](repeating: 0xFF, count: TimeAccount.encodedBytes)
    bytes.withUnsafeMutableBytes { account.write(to: $0.baseAddress!) }
    let read = bytes.withUnsafeBytes { TimeAccount(reading: $0) }
    #expect(read == account)
  }
}
