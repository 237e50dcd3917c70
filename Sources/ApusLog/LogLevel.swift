/// How much a line matters, the least first.
package enum LogLevel: UInt8, CaseIterable, Comparable, Sendable {
  case trace, debug, info, notice, warning, error, critical

  package var name: String {
    switch self {
    case .trace: "trace"
    case .debug: "debug"
    case .info: "info"
    case .notice: "notice"
    case .warning: "warning"
    case .error: "error"
    case .critical: "critical"
    }
  }

  package init?(name: String) {
    guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = level
  }

  /// Those that a configuration may ask for: errors are always written.
  package static let choices: [LogLevel] = [.trace, .debug, .info, .notice, .warning, .error]

  package var moreVerbose: LogLevel { LogLevel(rawValue: rawValue &- 1) ?? .trace }
  package var lessVerbose: LogLevel { min(.error, LogLevel(rawValue: rawValue + 1) ?? .error) }

  package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}
