import ApusBase
import ApusWire
import Testing

/// The load and the time account at the end of an answer's metadata.
@Suite struct AnswerTailTests {
  private func tail(_ load: Float, total: UInt64 = 1234) -> [UInt8] {
    var account = TimeAccount()
    account.total = total
    var bytes = [UInt8](repeating: 0xFF, count: AnswerTail.encodedBytes)
    bytes.withUnsafeMutableBytes { AnswerTail.write(load: load, account, to: $0.baseAddress!) }
    return bytes
  }

  private func read(_ bytes: [UInt8]) -> AnswerTail? { bytes.withUnsafeBytes { AnswerTail(reading: $0) } }
  private func readEnd(_ bytes: [UInt8]) -> AnswerTail? { bytes.withUnsafeBytes { AnswerTail(endOf: $0) } }

  @Test(arguments: [0, 0.001, 0.25, 1] as [Float])
  func aTailComesBackAsItWasWritten(_ load: Float) {
    let read = read(tail(load))
    #expect(read?.load == load && read?.time.total == 1234)
  }

  @Test(
    arguments: [
      (-0.5, 0), (.nan, 0), (-.infinity, 0), (1.5, 1), (.infinity, 1), (-0.0, 0), (1e-30, 1e-30),
    ] as [(Float, Float)])
  func aLoadIsWrittenFrom0To1(_ load: Float, _ written: Float) {
    #expect(read(tail(load))?.load.bitPattern == written.bitPattern)
  }

  @Test func otherFormsAreNotRead() {
    let good = tail(0.5)
    #expect(read([]) == nil && read(Array(good.dropFirst())) == nil && read(good + [0]) == nil)
    #expect(read(Array(good.dropFirst(5))) == nil)
    // A tag or a length that is another, a varint that is shorter.
    for (place, byte) in [(0, 0x45), (0, 0x4C), (5, 0x4A), (6, 41), (7, 0x10), (8, 0), (13, 0x80)] {
      var bytes = good
      bytes[place] = UInt8(byte)
      #expect(read(bytes) == nil, "byte \(place)")
    }
  }

  @Test func aTailIsTheFieldsLoadAndTime() throws {
    let metadata = Message().number(1, 1).number(2, 2).message(3, part(shape: [1, 2], length: 8)).bytes
    let bytes = metadata + tail(0.5)
    let arena = makeArena()
    let response = try bytes.withUnsafeBytes {
      try ClassifyResponse(decoding: $0, bodyBytes: 8, arena: arena)
    }
    #expect(response.load == 0.5 && response.time.total == 1234)
    #expect(readEnd(bytes) == AnswerTail(load: response.load, time: response.time))
  }

  /// A digest may end in the five bytes that a load takes.
  @Test func theEndOfAnotherFieldIsNoLoad() {
    let field = Message().data(8, [UInt8](repeating: 1, count: 27) + [0x4D, 0, 0, 0, 0x3F]).bytes
    let bytes: [UInt8] = field + tail(0.5).dropFirst(5)
    #expect(read(Array(bytes.suffix(AnswerTail.encodedBytes))) != nil)
    #expect(readEnd(bytes) == nil)
    #expect(readEnd(field + tail(0.5))?.load == 0.5)
    #expect(readEnd([0xFF] + tail(0.5)) == nil && readEnd([]) == nil && readEnd([0x4D]) == nil)
  }
}
