import ApusBase
import ApusWire
import Foundation
import Testing

/// docs/protocol.md says what the code does.
@Suite struct ProtocolPageTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  private func page() throws -> String {
    try String(contentsOf: Self.root.appendingPathComponent("docs/protocol.md"), encoding: .utf8)
  }

  /// Reasons with their codes, as the server's sources make statuses of them: `REASON CODE`.
  private func reasonsInCode() throws -> Set<String> {
    var found: Set<String> = []
    // What a client makes of an answer that it cannot read is never sent.
    let ofClients = ["ClassifyMessages+Client.swift", "StatusMessages.swift"]
    for module in ["ApusWire", "ApusServer"] {
      let folder = Self.root.appendingPathComponent("Sources/\(module)").path
      for name in try FileManager.default.contentsOfDirectory(atPath: folder)
      where name.hasSuffix(".swift") && !ofClients.contains(name) {
        let text = try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
        for match in text.matches(of: /Status\(\s*\.`?([a-zA-Z]+)`?,\s*"([A-Z0-9_]+)"/) {
          let code = StatusCode.allCases.first { "\($0)" == match.1 }
          found.insert("\(match.2) \(try #require(code, "\(name): \(match.1)").name)")
        }
      }
    }
    return found
  }

  @Test func theTableOfReasonsIsTheCode() throws {
    var told: Set<String> = []
    for match in try page().matches(of: /(?m)^\| `([A-Z0-9_]+)` \| ([A-Z_, ]+) \|/) {
      for code in match.2.split(separator: ", ") { told.insert("\(match.1) \(code)") }
    }
    let made = try reasonsInCode()
    #expect(made.count > 30)
    #expect(made.subtracting(told).sorted() == [], "docs/protocol.md lacks these reasons")
    #expect(told.subtracting(made).sorted() == [], "docs/protocol.md names these, which nothing sends")
  }

  @Test func theTableOfMethodsIsTheCode() throws {
    let told = try page().matches(of: /(?m)^\| (0(?:x[0-9a-f]{4})?) \| ([A-Za-z]+) \|/).map { match in
      let number = match.1.hasPrefix("0x") ? UInt16(match.1.dropFirst(2), radix: 16) : UInt16(match.1)
      return "\(number.flatMap { Method(rawValue: $0) }.map { "\($0)" } ?? "none") \(match.2.lowercased())"
    }
    #expect(told.count == 23)
    for pair in told {
      let names = pair.split(separator: " ")
      #expect(names[0].lowercased() == names[1], "\(pair)")
    }
  }

  // MARK: The example

  private func example(_ name: String) throws -> [UInt8] {
    let block = try #require(try page().components(separatedBy: "```\(name)\n").dropFirst().first)
    let text = block.components(separatedBy: "```")[0]
    return try text.split(whereSeparator: \.isWhitespace).map { try #require(UInt8($0, radix: 16)) }
  }

  private func frame(_ bytes: [UInt8], _ reader: FrameDecoder.Reader) throws -> Frame {
    let step = bytes.withUnsafeBytes { FrameDecoder(reader: reader, limits: Limits()).next($0) }
    guard case .frame(let frame) = step, frame.layout.frameBytes == bytes.count else {
      throw Status(.internal, "TEST", "the example is no whole frame: \(step)")
    }
    return frame
  }

  @Test func theRequestOfTheExampleIsOne() throws {
    let bytes = try example("request")
    let frame = try frame(bytes, .server)
    #expect(frame.header.requestID == 1 && frame.header.method == Method.classify.rawValue)
    let arena = makeArena()
    try bytes.withUnsafeBytes { raw in
      let metadata = UnsafeRawBufferPointer(rebasing: raw[32..<32 + frame.layout.metadataBytes])
      let request = try ClassifyRequest(decoding: metadata, bodyBytes: 16, arena: arena)
      #expect(String(decoding: request.model.name, as: UTF8.self) == "iris")
      #expect(request.topK == 1 && Array(request.input.shape) == [1, 4])
      let floats = (0..<4).map { raw.loadUnaligned(fromByteOffset: 64 + 4 * $0, as: Float.self) }
      #expect(floats == [5.1, 3.5, 1.4, 0.2])
    }
    var options = ClassifyOptions(model: "iris")
    options.topK = 1
    let metadata = encoded {
      options.encode(dtype: .float32, shape: [1, 4], byteCount: 16, into: $0, arena: $1)
    }
    // Our encoder names the offset of 0 no more than the example does.
    #expect(metadata == Array(bytes[32..<32 + frame.layout.metadataBytes]))
  }

  @Test func theAnswerOfTheExampleIsOne() throws {
    let bytes = try example("answer")
    let frame = try frame(bytes, .client)
    #expect(frame.layout.bodyOffset == 128)
    let arena = makeArena()
    try bytes.withUnsafeBytes { raw in
      let metadata = UnsafeRawBufferPointer(rebasing: raw[32..<32 + frame.layout.metadataBytes])
      let answer = try ClassifyResponse(
        decoding: metadata, bodyBytes: frame.layout.bodyBytes, arena: arena)
      #expect(answer.form.rows == 1 && answer.form.classes == 1 && answer.form.version == 1)
      #expect(answer.time.batchRows == 1 && answer.time.total > answer.time.compute)
      let body = frame.layout.bodyOffset
      let probability = raw.loadUnaligned(
        fromByteOffset: body + answer.form.probabilitiesOffset, as: Float.self)
      #expect(abs(probability - 0.8) < 0.005)
      let indices = try #require(answer.form.indicesOffset)
      #expect(raw.loadUnaligned(fromByteOffset: body + indices, as: UInt32.self) == 0)
    }
  }
}
