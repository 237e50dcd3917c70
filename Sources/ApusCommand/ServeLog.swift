import ApusIO
import ApusLog
import ApusServer
import Logging

/// swift-log's lines, written by `LogOutput`, whose level alone holds.
struct ApusLogHandler: LogHandler {
  private let output: LogOutput
  private let label: String
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level {
    get { Logger.Level(output.level) }
    set { output.level = LogLevel(newValue) }
  }

  init(_ output: LogOutput, label: String) {
    self.output = output
    self.label = label
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let merged = event.metadata.map { metadata.merging($0) { $1 } } ?? metadata
    let fields = merged.sorted { $0.key < $1.key }.map { (key: $0.key, value: "\($0.value)") }
    output.write(LogLevel(event.level), "\(event.message)", logger: label, fields: fields)
  }
}

extension LogLevel {
  init(_ level: Logger.Level) { self = LogLevel(name: level.rawValue) ?? .info }
}

extension Logger.Level {
  init(_ level: LogLevel) { self = Logger.Level(rawValue: level.name) ?? .info }
}

/// The server's log and the access log, and what signals change about them.
struct ServeLog {
  let output: LogOutput
  let log: Logger
  /// nil: no call is logged.
  private(set) var access: AccessLog?
  /// Reads the configuration again.
  private let configured: () throws(ConfigurationError) -> ServeConfiguration

  init(
    _ told: ServeConfiguration,
    _ configured: @escaping () throws(ConfigurationError) -> ServeConfiguration
  ) {
    let output = LogOutput(style: LogStyle(format: told.logFormat), level: told.logLevel)
    self.output = output
    self.configured = configured
    log = Logger(label: "apus") { ApusLogHandler(output, label: $0) }
  }

  /// Opens the access log, if there is one, and starts its thread.
  mutating func startAccess(_ settings: AccessLog.Settings) throws(SystemError) {
    guard settings.isEnabled else { return }
    let access = try AccessLog(settings, output: output)
    try access.start()
    self.access = access
  }

  /// Opens the access log's file anew and takes the level that the configuration has now.
  func reload() {
    access?.reopen()
    do throws(ConfigurationError) { change(to: try configured().logLevel) } catch {
      log.error("the log level stays as it was: \(error)")
    }
  }

  func beMoreVerbose() { change(to: output.level.moreVerbose) }
  func beLessVerbose() { change(to: output.level.lessVerbose) }

  /// Told whatever the level is, so that whoever sent the signal sees that it was heard.
  private func change(to level: LogLevel) {
    guard level != output.level else { return }
    output.level = level
    output.write(.notice, "the log level is \(level.name) now", logger: "apus", always: true)
  }

  /// When no call is answered any more.
  func stop() { access?.stop() }
}
