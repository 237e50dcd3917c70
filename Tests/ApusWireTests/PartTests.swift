import ApusBase
import ApusWire
import Testing

/// Every rule for the parts of a request, broken.
@Suite struct PartTests {
  @Test func everyFieldOfARequestIsRead() throws {
    let message = Message().text(1, "digits").number(2, 7).message(
      4, part(shape: [2, 8], offset: 64, length: 64)
    )
    .number(5, 3).number(6, 1_000_000).number(7, 1).number(8, 1).number(9, 1).text(10, "00-ab-cd-01")
    .text(11, "user-7")
    try classifying(message, bodyBytes: 128) { request in
      #expect(Array(request.model.name) == Array("digits".utf8))
      #expect(request.model.version == 7 && request.model.alias.isEmpty)
      #expect(request.topK == 3 && request.timeoutNanoseconds == 1_000_000)
      #expect(request.wantScores && request.wantLabels && request.wantDigest)
      #expect(request.input.dtype == .float32 && Array(request.input.shape) == [2, 8])
      #expect(request.input.offset == 64 && request.input.byteCount == 64)
    }
  }

  /// A number of a later version is as if nothing had been said.
  @Test(
    arguments: [(0, nil), (1, .interactive), (2, .batch), (3, nil), (4_000_000_000, nil)]
      as [(UInt64, CallPriority?)])
  func aPriorityIsRead(_ number: UInt64, _ priority: CallPriority?) throws {
    try classifying(request().number(12, number)) { #expect($0.priority == priority) }
  }

  @Test(
    arguments: [(nil, []), (.interactive, [0x60, 1]), (.batch, [0x60, 2])]
      as [(CallPriority?, [UInt8])])
  func aPriorityIsWritten(_ priority: CallPriority?, _ field: [UInt8]) {
    var options = ClassifyOptions(model: "digits")
    let without = encoded {
      options.encode(dtype: .float32, shape: [1, 4], byteCount: 16, into: $0, arena: $1)
    }
    options.priority = priority
    let with = encoded {
      options.encode(dtype: .float32, shape: [1, 4], byteCount: 16, into: $0, arena: $1)
    }
    #expect(with == without + field)
  }

  @Test func whatIsNotSaidIsOff() throws {
    try classifying(request()) { request in
      #expect(request.model.version == 0 && request.topK == 0 && request.timeoutNanoseconds == 0)
      #expect(!request.wantScores && !request.wantLabels && !request.wantDigest)
      #expect(request.priority == nil)
    }
  }

  @Test func aPartMayEndWhereTheBodyEnds() {
    #expect(refusal(request([part(shape: [1, 16], length: 64)]), bodyBytes: 64) == nil)
    #expect(refusal(request([part(shape: [1, 17], length: 68)]), bodyBytes: 64) == "PART_OUTSIDE_BODY")
    #expect(refusal(request([part(offset: 64)]), bodyBytes: 80) == nil)
    #expect(refusal(request([part(offset: 64)]), bodyBytes: 79) == "PART_OUTSIDE_BODY")
  }

  @Test(arguments: [1, 4, 32, 63, 65, UInt64.max])
  func anOffsetIsAMultipleOf64(_ offset: UInt64) {
    #expect(refusal(request([part(offset: offset)]), bodyBytes: 1 << 20) == "PART_OFFSET")
  }

  @Test(
    arguments: [(.max - 63, 64), (.max - 63, 16), (1 << 63, 1 << 63), (0, .max), (64, .max)]
      as [(UInt64, UInt64)])
  func anEndThatOverflowsIsOutsideTheBody(_ offset: UInt64, _ length: UInt64) {
    #expect(refusal(request([part(offset: offset, length: length)])) == "PART_OUTSIDE_BODY")
  }

  @Test(
    arguments: [
      [1 << 63, 2], [1 << 32, 1 << 32], [1 << 62, 4], [.max, .max], [1 << 31, 1 << 31, 4], [1 << 62, 1],
      // These come to 16 bytes, or none, when the overflow is lost.
      [1 << 62, 4, 4], [0, 1 << 63, 4], [1 << 63, 0],
    ] as [[UInt64]])
  func aShapeWhoseProductOverflowsIsRefused(_ shape: [UInt64]) {
    for length in [0, 16] as [UInt64] {
      let reason = refusal(request([part(shape: shape, length: length)]))
      // A zero before the rest makes an empty tensor, whatever follows: that is no overflow.
      #expect(reason == (shape[0] == 0 && length == 0 ? nil : "PART_LENGTH"), "\(shape)")
    }
  }

  @Test func aPartTakesTheBytesOfItsShape() {
    for (dtype, size) in [(1, 4), (2, 8), (3, 2), (4, 2), (5, 1), (6, 1), (7, 4), (8, 4), (9, 8), (10, 1)]
      as [(UInt64, UInt64)]
    {
      #expect(refusal(request([part(dtype: dtype, length: 4 * size)])) == nil)
      #expect(refusal(request([part(dtype: dtype, length: 4 * size - 1)])) == "PART_LENGTH")
      #expect(refusal(request([part(dtype: dtype, length: 4 * size + 1)])) == "PART_LENGTH")
    }
    #expect(refusal(request([part(shape: [], length: 4)])) == "PART_LENGTH")
  }

  @Test func regionsAreNotKnownWithoutRegistration() {
    #expect(refusal(request([part(region: 1)])) == "REGION_UNKNOWN")
    #expect(refusal(request([part(region: UInt64(UInt32.max))])) == "REGION_UNKNOWN")
  }

  @Test func numbersHaveNoLengths() throws {
    #expect(refusal(request([part(lengths: [16])])) == "LENGTHS_NOT_ALLOWED")
    #expect(refusal(request([part(dtype: 11, shape: [2], length: 8, lengths: [5, 3])])) == nil)
  }

  @Test(arguments: [0, 13, 255, UInt64(UInt32.max)])
  func unknownDataTypesAreRefused(_ dtype: UInt64) {
    #expect(refusal(request([part(dtype: dtype)])) == "DTYPE_UNKNOWN")
  }

  @Test func aCallHasOneInput() {
    #expect(refusal(request([])) == "INPUT_COUNT")
    #expect(refusal(request([part(), part(offset: 64)]), bodyBytes: 128) == "INPUT_COUNT")
  }

  @Test func aCallNamesAVersionOrAnAlias() {
    #expect(refusal(request().number(2, 1)) == nil)
    #expect(refusal(request().text(3, "stable")) == nil)
    #expect(refusal(request().number(2, 1).text(3, "stable")) == "VERSION_AND_ALIAS")
  }

  @Test func longShapesAreCutInMessages() {
    let long = [UInt64](repeating: 1, count: 1000)
    #expect(throws: Status.self) { try classifying(request([part(shape: long, length: 8)])) { _ in } }
    long.withUnsafeBufferPointer { #expect(describe($0) == "(1, 1, 1, 1, 1, 1, 1, 1, …)") }
    [UInt64(2), 64].withUnsafeBufferPointer { #expect(describe($0) == "(2, 64)") }
  }
}
