import ApusBase
import ApusWire
import Testing

/// Every rule for parts of texts, broken; byte strings follow the same ones.
@Suite struct TextPartTests {
  private static let texts: UInt64 = 11
  private static let byteStrings: UInt64 = 12

  private func reason(
    _ lengths: [UInt64], length: UInt64, shape: [UInt64]? = nil, dtype: UInt64 = texts
  ) -> String? {
    let shape = shape ?? [UInt64(lengths.count)]
    return refusal(request([part(dtype: dtype, shape: shape, length: length, lengths: lengths)]))
  }

  @Test(arguments: [texts, byteStrings])
  func textsHaveALengthEach(_ dtype: UInt64) throws {
    for lengths in [[16], [16, 0], [0, 0, 16], [5, 5, 6]] as [[UInt64]] {
      let message = request([
        part(dtype: dtype, shape: [UInt64(lengths.count)], offset: 64, length: 16, lengths: lengths)
      ])
      try classifying(message, bodyBytes: 80) { request in
        #expect(Array(request.input.lengths) == lengths && request.input.byteCount == 16)
        #expect(request.input.offset == 64 && request.input.dtype.rawValue == UInt32(dtype))
      }
    }
  }

  @Test func textsMayBeEmpty() {
    #expect(reason([0], length: 0) == nil)
    #expect(reason([0, 0, 0], length: 0) == nil)
    #expect(reason([], length: 0, shape: [0]) == nil, "none at all: the model's rule, not the wire's")
  }

  @Test(
    arguments: [
      ([15], 16), ([17], 16), ([8, 7], 16), ([8, 9], 16), ([0], 16), ([16, 1], 16), ([1], 0),
      // The first two wrap around to 16; so do the others to less.
      ([.max, 17], 16), ([1 << 63, 1 << 63, 16], 16), ([.max], 16), ([16, .max, 1], 16), ([.max, 1], 0),
    ] as [([UInt64], UInt64)])
  func lengthsThatLieAreRefused(_ lengths: [UInt64], _ length: UInt64) {
    #expect(reason(lengths, length: length) == "PART_LENGTH")
    #expect(reason(lengths, length: length, dtype: Self.byteStrings) == "PART_LENGTH")
  }

  @Test(
    arguments: [[], [2], [0], [1, 1], [1, 16], [UInt64.max], [1 << 63, 2]] as [[UInt64]])
  func theShapeOfTextsIsTheirNumber(_ shape: [UInt64]) {
    #expect(reason([16], length: 16, shape: shape) == "SHAPE_MISMATCH")
  }

  @Test func textsWithoutLengthsAreRefused() {
    #expect(reason([], length: 16, shape: [1]) == "SHAPE_MISMATCH")
    #expect(reason([], length: 16, shape: [0]) == "PART_LENGTH")
  }

  @Test func textsLieInsideTheBody() {
    #expect(reason([65], length: 65) == "PART_OUTSIDE_BODY")
    #expect(
      refusal(request([part(dtype: 11, shape: [1], offset: 64, length: 1, lengths: [1])]))
        == "PART_OUTSIDE_BODY")
  }

  @Test func aClientsTextsAreReadBack() throws {
    let bytes = encoded { output, arena in
      ClassifyOptions(model: "sentiment").encode(
        dtype: .utf8, shape: [3], lengths: [4, 0, 7], byteCount: 11, into: output, arena: arena)
    }
    try classifying(Message(bytes: bytes)) { request in
      #expect(Array(request.input.lengths) == [4, 0, 7] && Array(request.input.shape) == [3])
      #expect(request.input.dtype == .utf8 && request.input.byteCount == 11)
    }
  }
}
