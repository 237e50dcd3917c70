import ApusBase
import ApusClient
import ApusWire
import Foundation
import Testing

/// Texts, from the client's call to the answer, against a real server.
@Suite(.timeLimit(.minutes(15))) struct TextTests {
  // MARK: PyTorch's answers

  @Test func answersAreThoseOfPyTorch() async throws {
    let reviews = try Reviews.load()
    try #require(reviews.texts.count == 200)
    let server = try ServerProcess(overTCP: true)
    for address in [server.unix, server.tcp] {
      let client = try SynchronousClient(address)
      for size in [1, 7, 200] {
        var call = ClassifyCall(reviews.model)
        call.wantLabels = true
        var result = ClassifyResult()
        var found: [Float] = []
        for first in stride(from: 0, to: 200, by: size) {
          let texts = Array(reviews.texts[first..<min(200, first + size)])
          try client.classify(texts: texts, call, into: &result)
          #expect(result.rows == texts.count && result.prediction().label == "negative")
          found += result.probabilities
        }
        #expect(worstError(found, reviews.probabilities.flatMap(\.self)[...]) < 2e-6, "batches of \(size)")
      }
    }
    let client = try ApusClient(server.unix)
    let result = try await client.classify(reviews.model, text: reviews.texts[0], top: 1)
    let best = try #require(reviews.probabilities[0].max())
    #expect(abs(Double(result.probabilities[0]) - best) < 2e-6 && result.labels == ["positive"])
  }

  /// 1000 texts are more than are computed at one time.
  @Test func batchesAnswerWhatSingleTextsDo() throws {
    let reviews = try Reviews.load()
    let server = try ServerProcess()
    let client = try SynchronousClient(server.unix)
    let texts = (0..<1000).map { reviews.texts[$0 * 7 % 200] }
    for (top, wantScores) in [(0, false), (0, true), (1, false), (2, true)] {
      var call = ClassifyCall("sentiment", top: top)
      call.wantScores = wantScores
      var (batch, single) = (ClassifyResult(), ClassifyResult())
      try client.classify(texts: texts, call, into: &batch)
      let classes = top == 0 ? 2 : top
      #expect(batch.rows == 1000 && batch.classes == classes)
      #expect(batch.scores.count == (wantScores ? 2000 : 0))
      for row in stride(from: 0, to: 1000, by: 37) {
        try client.classify(texts: [texts[row]], call, into: &single)
        for rank in 0..<classes {
          let (one, other) = (batch.prediction(row: row, rank: rank), single.prediction(rank: rank))
          #expect(one.index == other.index && abs(one.probability - other.probability) < 1e-6)
        }
        for index in 0..<(wantScores ? 2 : 0) {
          #expect(abs(batch.scores[2 * row + index] - single.scores[index]) < 1e-5)
        }
      }
    }
  }

  /// Text calls of several lengths and tensor calls, sent in one piece and answered each by itself.
  @Test func textsAndTensorsMixOnAConnection() throws {
    let reviews = try Reviews.load()
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    let pixels = [Float](repeating: 1, count: 64)
    var sent: [UInt8] = []
    for id in 1...90 as ClosedRange<UInt64> {
      sent +=
        id % 3 == 0
        ? classifyFrame(id, "digits", pixels) : textFrame(id, [Array(reviews.texts[Int(id)].utf8)])
    }
    connection.send(sent)
    var digits: [[Float]] = []
    for id in 1...90 as ClosedRange<UInt64> {
      let answer = try #require(try connection.answer())
      try #require(answer.id == id && answer.status == nil, "\(answer)")
      if id % 3 == 0 {
        digits.append(answer.probabilities)
      } else {
        #expect(worstError(answer.probabilities, reviews.probabilities[Int(id)][...]) < 2e-6)
      }
    }
    #expect(digits.allSatisfy { $0.count == 10 && $0 == digits[0] })
  }

  // MARK: Empty ones

  /// A text without words is a vector of zeros: what is left are the biases.
  @Test func emptyTextsAreTexts() throws {
    let server = try ServerProcess()
    let client = try SynchronousClient(server.unix)
    var (empty, zeros) = (ClassifyResult(), ClassifyResult())
    try client.classify(
      [Float](repeating: 0, count: 1024), ClassifyCall("sentiment", shape: [1, 1024]), into: &zeros)
    try client.classify(texts: ["", "?!", "\u{0}", ""], ClassifyCall("sentiment"), into: &empty)
    for row in 0..<4 { #expect(Array(empty.probabilities[2 * row..<2 * row + 2]) == zeros.probabilities) }
    #expect(throws: ClientError.invalidInput("there is no text to classify")) {
      try client.classify(texts: [], ClassifyCall("sentiment"), into: &empty)
    }
    let connection = try RawConnection(server.unix)
    connection.send(textFrame(1, []))
    let status = try #require(try connection.answer()?.status)
    #expect(status.code == .invalidArgument && status.message == "the call holds no text; send one at least")
  }

  // MARK: What is refused

  static let broken: [[UInt8]] = [
    [0x80], [0xC0, 0xAF], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF, 0xFE, 0x41, 0],
  ]

  /// The connection stays, and the text is told by its place in the call.
  @Test(arguments: broken) func whatIsNoUTF8IsRefused(_ bytes: [UInt8]) throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    let good = Array("good".utf8)
    connection.send(
      textFrame(1, [bytes]) + textFrame(2, [good, good, good + bytes + good]) + textFrame(3, [good]))
    for (id, place) in [(1, 1), (2, 3)] as [(UInt64, Int)] {
      let answer = try #require(try connection.answer())
      let status = try #require(answer.status)
      #expect(answer.id == id && status.code == .invalidArgument && status.reason == "TEXT_NOT_UTF8")
      #expect(status.message == "text \(place) of the call is not UTF-8")
    }
    let answer = try #require(try connection.answer())
    #expect(answer.id == 3 && answer.status == nil)
  }

  /// Halves of one character are no text, though both together are.
  @Test func aCharacterInTwoTextsIsRefused() throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    connection.send(textFrame(1, [[0xC3], [0xA9]]) + textFrame(2, [[0xC3, 0xA9]]))
    #expect(try connection.answer()?.status?.reason == "TEXT_NOT_UTF8")
    #expect(try connection.answer()?.status == nil)
  }

  @Test(
    arguments: [([5], 4), ([3], 4), ([2, 1], 4), ([4, .max, 1], 4), ([1 << 62, 1 << 62], 4), ([1, 0], 0)]
      as [([Int], Int)])
  func lengthsThatLieAreRefused(_ lengths: [Int], _ byteCount: Int) throws {
    let server = try ServerProcess()
    let connection = try RawConnection(server.unix)
    let body = [UInt8](repeating: UInt8(ascii: "a"), count: byteCount)
    connection.send(textFrame(1, body: body, lengths: lengths) + textFrame(2, [body]))
    let answer = try #require(try connection.answer())
    #expect(answer.id == 1 && answer.status?.code == .invalidArgument)
    #expect(answer.status?.reason == "PART_LENGTH")
    #expect(try connection.answer()?.status == nil)
  }

  @Test func theRefusalSaysWhatWouldFit() throws {
    let server = try ServerProcess()
    let client = try SynchronousClient(server.unix)
    func message(_ call: (inout ClassifyResult) throws -> Void) -> String {
      var result = ClassifyResult()
      do {
        try call(&result)
        return "answered"
      } catch { return "\(error)" }
    }
    let toTensors = message { try client.classify(texts: ["3"], ClassifyCall("digits"), into: &$0) }
    #expect(toTensors.contains("model 'digits' takes float32 of shape (rows, 64); the call holds utf8"))
    let toTexts = message {
      try client.classify([1, 2], ClassifyCall("sentiment", shape: [1, 2]), into: &$0)
    }
    #expect(
      toTexts.contains(
        "model 'sentiment' takes texts (utf8), or float32 of shape (rows, 1024); the call holds (1, 2)"))
    let tooMany = message {
      let texts = [String](repeating: "a", count: 1025)
      try client.classify(texts: texts, ClassifyCall("sentiment"), into: &$0)
    }
    #expect(tooMany.contains("model 'sentiment' takes at most 1024 rows in a call; this one has 1025"))
    #expect(message { try client.classify(texts: ["a"], ClassifyCall("sentiment"), into: &$0) } == "answered")
  }

  @Test func aModelOfTextsSaysSo() throws {
    let server = try ServerProcess()
    let model = try SynchronousClient(server.unix).model("sentiment")
    #expect(model.labels == ["negative", "positive"] && model.state == "ready")
    #expect(model.takesTexts && model.inputShape == [])
    #expect(try !SynchronousClient(server.unix).model("digits").takesTexts)
  }
}

// MARK: Material

/// `models/samples/reviews.expected.json`.
struct Reviews: Decodable {
  let model: String
  let texts: [String]
  let probabilities: [[Double]]

  static func load() throws -> Reviews {
    let url = ServerProcess.root.appendingPathComponent("models/samples/reviews.expected.json")
    return try JSONDecoder().decode(Reviews.self, from: Data(contentsOf: url))
  }
}

/// A Classify request of texts for `sentiment`, as it goes over the wire.
private func textFrame(_ id: UInt64, _ texts: [[UInt8]]) -> [UInt8] {
  textFrame(id, body: texts.flatMap(\.self), lengths: texts.map(\.count))
}

private func textFrame(_ id: UInt64, body: [UInt8], lengths: [Int]) -> [UInt8] {
  var metadata = [UInt8](repeating: 0, count: 4096)
  let metadataBytes = metadata.withUnsafeMutableBytes {
    ClassifyOptions(model: "sentiment").encode(
      dtype: .utf8, shape: [lengths.count], lengths: lengths, byteCount: body.count, into: $0,
      arena: MetadataArena(byteCount: 64 << 10))
  }
  let layout = FrameLayout(metadataBytes: metadataBytes, bodyBytes: body.count)
  var frame = [UInt8](repeating: 0, count: layout.frameBytes)
  frame.withUnsafeMutableBytes { bytes in
    FrameHeader(
      kind: .request, method: Method.classify.rawValue, requestID: id, metadataBytes: metadataBytes,
      bodyBytes: body.count
    ).write(to: bytes.baseAddress!)
  }
  let head = FrameHeader.byteCount..<FrameHeader.byteCount + metadataBytes
  frame.replaceSubrange(head, with: metadata.prefix(metadataBytes))
  frame.replaceSubrange(layout.bodyOffset..<layout.bodyOffset + body.count, with: body)
  return frame
}
