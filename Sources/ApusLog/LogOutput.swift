import Glibc
import Synchronization

/// How lines are written.
package enum LogStyle: Equatable, Sendable {
  /// One JSON object a line.
  case json
  /// For a person, on wish coloured by level.
  case text(isColoured: Bool)

  /// As `log.format` asks for: `auto` is text on a terminal and JSON elsewhere. Colours are for a terminal
  /// whose user has not set `NO_COLOR` (no-color.org).
  package init(format: String, descriptor: Int32 = STDERR_FILENO) {
    let isTerminal = isatty(descriptor) == 1
    let wantsNoColour = getenv("NO_COLOR").map { $0[0] != 0 } ?? false
    let isColoured = isTerminal && !wantsNoColour
    switch format {
    case "json": self = .json
    case "text": self = .text(isColoured: isColoured)
    default: self = isTerminal ? .text(isColoured: isColoured) : .json
    }
  }
}

/// Where the server's own lines go, and from which level on. Each line is one write call; the level may be
/// changed at any time by any thread.
package final class LogOutput: Sendable {
  package let style: LogStyle
  private let descriptor: Int32
  private let threshold: Atomic<UInt8>

  /// - Parameter descriptor: stays open as long as this.
  package init(style: LogStyle, level: LogLevel, descriptor: Int32 = STDERR_FILENO) {
    self.style = style
    self.descriptor = descriptor
    threshold = Atomic(level.rawValue)
  }

  package var level: LogLevel {
    get { LogLevel(rawValue: threshold.load(ordering: .relaxed)) ?? .info }
    set { threshold.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// Writes a line if the level allows it; what cannot be written is left out.
  ///
  /// - Parameters:
  ///   - fields: further members, in this order.
  ///   - always: whatever the level is.
  package func write(
    _ level: LogLevel, _ message: String, logger: String, fields: [(key: String, value: String)] = [],
    always: Bool = false
  ) {
    guard always || level >= self.level else { return }
    var time = LogTime()
    var line = LogLine()
    switch style {
    case .json:
      line.begin()
      line.time(LogTime.now, &time)
      line.text("level", level.name)
      line.text("message", message)
      line.text("logger", logger)
      if !fields.isEmpty {
        line.beginObject("metadata")
        for (key, value) in fields {
          line.key(text: key)
          LogLine.appendQuoted(value, to: &line.bytes)
        }
        line.end()
      }
      line.end()
    case .text(let isColoured):
      time.append(LogTime.now, to: &line.bytes)
      line.bytes += Self.textBody(level, message, logger, fields, isColoured).utf8
    }
    line.newline()
    write(line.bytes)
  }

  private static func textBody(
    _ level: LogLevel, _ message: String, _ logger: String, _ fields: [(key: String, value: String)],
    _ isColoured: Bool
  ) -> String {
    let name = level.name.uppercased()
    let padded = name + String(repeating: " ", count: max(0, 7 - name.count))
    let shown = isColoured ? "\u{1B}[\(level.colour)m\(padded)\u{1B}[0m" : padded
    let rest = fields.map { " \(singleLine($0.key))=\(singleLine($0.value))" }.joined()
    return " \(shown) \(singleLine(logger)): \(singleLine(message))\(rest)"
  }

  /// A text in which nothing ends the line or moves a terminal's cursor.
  package static func singleLine(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .surrogate, .lineSeparator, .paragraphSeparator:
        result += scalar.escaped(asASCII: true)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// Writes whole lines.
  package func write(_ bytes: [UInt8]) { _ = writeAll(bytes, to: descriptor) }
}

extension LogLine {
  package mutating func time(_ microseconds: Int64, _ time: inout LogTime) {
    key("time")
    bytes.append(UInt8(ascii: "\""))
    time.append(microseconds, to: &bytes)
    bytes.append(UInt8(ascii: "\""))
  }
}

extension LogLevel {
  /// SGR parameters (ECMA-48, section 8.3.117).
  package var colour: String {
    switch self {
    case .trace, .debug: "2"
    case .info: "32"
    case .notice: "36"
    case .warning: "33"
    case .error, .critical: "1;31"
    }
  }
}

/// Writes everything, or gives the errno of the first write that failed; 0: all is written.
func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
  bytes.withUnsafeBytes { bytes in
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return count < 0 ? errno : EIO }
      rest = rest.dropFirst(count)
    }
    return 0
  }
}
