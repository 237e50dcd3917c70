import ApusFeatures
import Testing

@Suite struct TextTests {
  private static let features = HashingFeatures(dimensions: 8, norm: .none)

  @Test(
    arguments: [
      [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE2, 0x82],
      [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
      [0xFF],
    ] as [[UInt8]])
  func whatIsNoUTF8IsRefused(_ bytes: [UInt8]) {
    #expect(vector(Array("good ".utf8) + bytes, Self.features) == nil)
    #expect(vector(bytes + Array(" good".utf8), Self.features) == nil)
    #expect(String(validating: bytes, as: UTF8.self) == nil)
  }

  @Test func emptyTextIsAllZeros() {
    #expect(vector("", Self.features) == [Float](repeating: 0, count: 8))
    #expect(vector("a b", HashingFeatures(dimensions: 3)) == [0, 0, 0])
  }
}
