import Foundation
import NIOCore
import Testing

@testable import ApusGateway

@Suite struct JSONTextTests {
  private func text(_ write: (inout JSONText) -> Void) -> String {
    var text = JSONText()
    write(&text)
    return String(buffer: text.buffer)
  }

  @Test func separatesWhatItHolds() {
    let written = text {
      $0.object {
        $0.key("a")
        $0.array {
          $0.array { _ in }
          $0.integer(-1)
          $0.object { _ in }
          $0.boolean(true)
          $0.string("x")
        }
        $0.member("b", integer: UInt64.max)
        $0.member("c", "")
      }
    }
    #expect(written == #"{"a":[[],-1,{},true,"x"],"b":18446744073709551615,"c":""}"#)
  }

  /// Foundation's reader gets back every text that was written.
  @Test func escapesSoThatEveryTextComesBack() throws {
    let all = String(String.UnicodeScalarView((0..<0x300).compactMap { Unicode.Scalar($0 as UInt32) }))
    for original in ["", "\"\\/", "\u{1F}\u{7F}", "é€𝄞", "\u{2028}\u{2029}\u{FFFF}", all] {
      let written = text { $0.string(original) }
      #expect(!written.utf8.contains { $0 < 0x20 })
      let read = try JSONSerialization.jsonObject(with: Data(written.utf8), options: .fragmentsAllowed)
      #expect(read as? String == original)
    }
    #expect(text { $0.string("\n\t\u{0}\"\\") } == #""\n\u0009\u0000\"\\""#)
  }

  @Test func numbersReadBackAsTheSameFloat() {
    let numbers: [Float] = [
      0, -0.0, 0.1, 1 / 3, .pi, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 1e-7, 16_777_216,
    ]
    for number in numbers {
      let written = text { $0.number(number) }
      #expect(strtof(written, nil).bitPattern == number.bitPattern, "\(written)")
      #expect(throws: Never.self) { try skip(written.utf8) }
    }
    for number in [Float.nan, .infinity, -.infinity] { #expect(text { $0.number(number) } == "null") }
  }
}
