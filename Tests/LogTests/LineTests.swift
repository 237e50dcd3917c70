import ApusLog
import Foundation
import Testing

/// The server's own lines.
@Suite struct LineTests {
  /// Texts with which a caller might try to forge a line, or a terminal's contents.
  static let hostile = [
    "plain", "a\nb", "a\r\n{\"level\":\"error\"}", "\"},{\"level\":\"error\"", "\\", "\\u000a", "\u{0}\u{1F}",
    "\u{7F}\u{9B}31m",
    "\u{1B}[31mred", "\u{2028}\u{2029}\u{85}", "schön 🐦 日本", "\u{202E}right to left", "",
  ]

  private func output(
    _ style: LogStyle, level: LogLevel = .info, _ body: (LogOutput) -> Void
  ) throws -> String {
    let folder = try Folder()
    let path = try folder.write("", "log")
    let descriptor = open(path, O_WRONLY | O_APPEND)
    defer { close(descriptor) }
    body(LogOutput(style: style, level: level, descriptor: descriptor))
    return folder.text("log")
  }

  @Test(arguments: hostile)
  func aLineIsOneObjectWhateverIsInIt(_ text: String) throws {
    let written = try output(.json) {
      $0.write(.warning, text, logger: text, fields: [(text, text), ("other", "x")])
    }
    #expect(written.utf8.filter { $0 == 0x0A }.count == 1 && written.hasSuffix("\n"))
    // Nothing that ends a line for some reader, and nothing that moves a cursor.
    let scalars = written.dropLast().unicodeScalars
    #expect(
      !scalars.contains {
        $0.properties.generalCategory == .control || $0 == "\u{2028}" || $0 == "\u{2029}"
      })
    let object = try #require(try parsed(written).first)
    #expect(object["message"] as? String == text && object["logger"] as? String == text)
    #expect(object["level"] as? String == "warning")
    #expect(object["metadata"] as? [String: String] == [text: text, "other": "x"])
  }

  @Test(arguments: hostile)
  func textIsOneLineWithoutControls(_ text: String) throws {
    let written = try output(.text(isColoured: false)) {
      $0.write(.error, text, logger: "apus", fields: [("key", text)])
    }
    #expect(written.filter(\.isNewline).count == 1 && written.contains(" ERROR   apus: "))
    #expect(!written.dropLast().unicodeScalars.contains { $0.properties.generalCategory == .control })
    #expect(!written.contains("\u{202E}"))
  }

  @Test func coloursAreForTerminalsAlone() throws {
    let coloured = try output(.text(isColoured: true)) { $0.write(.error, "x", logger: "apus") }
    #expect(coloured.contains("\u{1B}[1;31m"))
    let null = open("/dev/null", O_WRONLY)
    defer { close(null) }
    #expect(LogStyle(format: "auto", descriptor: null) == .json)
    #expect(LogStyle(format: "text", descriptor: null) == .text(isColoured: false))
    #expect(LogStyle(format: "json", descriptor: null) == .json)
  }

  @Test func theLevelDecidesAndMayChange() throws {
    let written = try output(.json, level: .warning) { output in
      output.write(.notice, "no", logger: "a")
      output.write(.notice, "always", logger: "a", always: true)
      output.level = .debug
      output.write(.debug, "yes", logger: "a")
      output.write(.trace, "no", logger: "a")
    }
    #expect(try parsed(written).map { $0["message"] as? String } == ["always", "yes"])
    let steps = [LogLevel.trace, .debug, .info, .notice, .warning, .error]
    #expect(steps.map(\.moreVerbose) == [.trace, .trace, .debug, .info, .notice, .warning])
    #expect(steps.map(\.lessVerbose) == [.debug, .info, .notice, .warning, .error, .error])
  }

  @Test(arguments: [
    0, 951_782_399_999_999, 951_782_400_000_000, 1_764_001_417_123_456, 253_402_300_799_999_999,
  ])
  func timesAreWhatFoundationSays(_ microseconds: Int64) throws {
    var bytes: [UInt8] = []
    var time = LogTime()
    time.append(microseconds, to: &bytes)
    let text = String(decoding: bytes, as: UTF8.self)
    let formatter = ISO8601DateFormatter()
    let seconds = Date(timeIntervalSince1970: Double(microseconds / 1_000_000))
    #expect(text.prefix(19) == formatter.string(from: seconds).prefix(19))
    #expect(text.suffix(8) == ".\(String(format: "%06d", Int(microseconds % 1_000_000)))Z".suffix(8))
    #expect(bytes.withUnsafeBytes { LogTime.parse($0) } == microseconds)
  }

  @Test(arguments: [0, 9, 10, 99, 100, 12_345_678_901, 10_000_000_000_000_000_000, UInt64.max])
  func numbersAreWrittenInFull(_ number: UInt64) {
    var line = LogLine()
    line.appendNumber(number)
    #expect(String(decoding: line.bytes, as: UTF8.self) == "\(number)")
  }

  @Test(arguments: [
    "", "2026-11-24T16:23:37Z", "2026-11-24 16:23:37.123456Z", "2026-13-24T16:23:37.123456Z",
    "2026-11-24T24:23:37.123456Z", "2026-11-24T16:23:37.12345xZ", "2026-11-24T16:23:37.123456+",
  ])
  func otherTimesAreNone(_ text: String) {
    #expect(Array(text.utf8).withUnsafeBytes { LogTime.parse($0) } == nil)
  }
}
