import ApusBase
import ApusWire
import Testing

/// The answer to Classify, as the server writes it and the client reads it.
@Suite struct AnswerTests {
  /// An encoded answer with its tail behind it, as a frame holds it.
  private func answer(
    _ form: AnswerForm, labels: [String] = [], digest: [UInt8] = [], deprecated: String = ""
  ) -> [UInt8] {
    let strings = labels.map { text in
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.utf8.count + 1)
      copy.update(from: text, count: text.utf8.count + 1)
      return Optional(copy)
    }
    defer { for string in strings { string?.deallocate() } }
    var list = strings
    var account = TimeAccount()
    account.total = 1234
    var bytes = encoded { output, arena in
      list.withUnsafeMutableBufferPointer {
        encodeClassifyAnswer(
          form, labels: $0, digest: digest, deprecated: deprecated, into: output, arena: arena) ?? 0
      }
    }
    var tail = [UInt8](repeating: 0, count: AnswerTail.encodedBytes)
    tail.withUnsafeMutableBytes { AnswerTail.write(load: 0.25, account, to: $0.baseAddress!) }
    bytes += tail
    return bytes
  }

  private func read(_ bytes: [UInt8], bodyBytes: Int) throws -> ClassifyResponse {
    let arena = makeArena()
    return try bytes.withUnsafeBytes {
      try ClassifyResponse(decoding: $0, bodyBytes: bodyBytes, arena: arena)
    }
  }

  @Test(arguments: [false, true], [false, true])
  func everyFormComesBack(_ hasIndices: Bool, _ hasScores: Bool) throws {
    let form = AnswerForm(
      rows: 3, classes: 2, allClasses: 20, hasIndices: hasIndices, hasScores: hasScores, version: 9)
    let read = try read(
      answer(form, labels: ["a", "b", "c", "d", "e", "zwölf"], digest: Array(0..<32)),
      bodyBytes: form.bodyBytes)
    #expect(read.form.rows == 3 && read.form.classes == 2 && read.form.version == 9)
    #expect(read.form.probabilitiesOffset == 0)
    #expect(read.form.indicesOffset == (hasIndices ? form.indicesOffset : nil))
    #expect(read.form.scoresOffset == (hasScores ? form.scoresOffset : nil))
    #expect(read.form.allClasses == (hasScores ? 20 : 0))
    #expect(read.form.labels == ["a", "b", "c", "d", "e", "zwölf"])
    #expect(read.form.digest == Array(0..<32))
    #expect(read.time.total == 1234 && read.load == 0.25)
    #expect(throws: Status.self) { try self.read(answer(form), bodyBytes: form.bodyBytes - 1) }
  }

  @Test func aDeprecatedVersionSaysSoAndACurrentOnePaysNothing() throws {
    let form = AnswerForm(rows: 1, classes: 1, allClasses: 1, hasIndices: false, hasScores: false, version: 9)
    let current = answer(form)
    let deprecated = answer(form, deprecated: "use zwölf")
    #expect(try read(current, bodyBytes: form.bodyBytes).form.deprecated == "")
    let read = try read(deprecated, bodyBytes: form.bodyBytes)
    #expect(read.form.deprecated == "use zwölf" && read.form.version == 9 && read.time.total == 1234)
    #expect(deprecated.count == current.count + 2 + "use zwölf".utf8.count)
  }

  @Test func labelsThatDoNotFitAreNotHalfWritten() {
    let form = AnswerForm(rows: 1, classes: 1, allClasses: 1, hasIndices: false, hasScores: false, version: 1)
    var none: [UnsafeMutablePointer<CChar>?] = []
    let arena = makeArena()
    var room = [UInt8](repeating: 0, count: 8)
    let written = room.withUnsafeMutableBytes { output in
      none.withUnsafeMutableBufferPointer {
        encodeClassifyAnswer(form, labels: $0, digest: Array(0..<32), into: output, arena: arena)
      }
    }
    #expect(written == nil)
  }

  /// An answer of 2 rows of 2 classes: probabilities at 0, indices at 64, scores of 3 classes at 128.
  private func message(
    rows: UInt64 = 2, classes: UInt64 = 2, probabilities: Message? = part(shape: [2, 2]),
    indices: Message? = part(dtype: 8, shape: [2, 2], offset: 64),
    scores: Message? = part(shape: [2, 3], offset: 128, length: 24), labels: Int = 0
  ) -> [UInt8] {
    var message = Message().number(1, rows).number(2, classes)
    if let probabilities { message = message.message(3, probabilities) }
    if let indices { message = message.message(4, indices) }
    if let scores { message = message.message(5, scores) }
    for label in 0..<labels { message = message.text(6, "\(label)") }
    return message.bytes
  }

  @Test func answersThatLieAreRefused() throws {
    #expect(try read(message(), bodyBytes: 152).form.allClasses == 3)
    #expect(try read(message(labels: 4), bodyBytes: 152).form.labels.count == 4)
    let lies: [[UInt8]] = [
      message(rows: 3), message(classes: 3), message(rows: UInt64(UInt32.max), classes: UInt64(UInt32.max)),
      message(probabilities: nil), message(probabilities: part(dtype: 2, shape: [2, 2], length: 32)),
      message(probabilities: part(shape: [4])), message(probabilities: part(shape: [2, 2], region: 1)),
      message(probabilities: part(shape: [2, 2], length: 15)),
      message(probabilities: part(shape: [2, 2], offset: 4)),
      message(probabilities: part(shape: [2, 2], offset: .max - 63)),
      message(probabilities: part(shape: [2, 2], offset: 192)),
      message(indices: part(shape: [2, 2], offset: 64)),
      message(indices: part(dtype: 8, shape: [2, 2], offset: 192)),
      message(indices: part(dtype: 8, shape: [2, 2], offset: 0)),
      message(
        probabilities: part(shape: [2, 2], offset: 64), indices: part(dtype: 8, shape: [2, 2], offset: 0)),
      message(scores: part(shape: [2, .max], offset: 128)),
      message(scores: part(shape: [6], offset: 128, length: 24)),
      message(scores: part(shape: [2, 3], offset: 64, length: 24)), message(labels: 3), message(labels: 5),
      [0xFF], Array(message().dropLast()),
    ]
    for (index, bytes) in lies.enumerated() {
      #expect(throws: Status.self, "lie \(index)") { try read(bytes, bodyBytes: 152) }
    }
  }
}
