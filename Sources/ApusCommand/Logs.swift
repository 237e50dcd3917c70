import ApusIO
import ApusJSON
import ApusLog
import ApusWire
import ArgumentParser
import Glibc

struct Logs: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logs",
    abstract: "Filter the lines of a server's logs, or sum them up.",
    discussion: """
      It reads what log.access.path and standard error have got in JSON; docs/logs.md names the members.

        apus logs /var/log/apus/access.log --model digits --since 10m --slower-than 5
        apus logs /var/log/apus/access.log --summary
        journalctl -u apus -o cat | apus logs - --code UNAVAILABLE

      A time is RFC 3339, a date, or how long ago: 90s, 10m, 2h, 7d.
      """)

  @Argument(help: ArgumentHelp("The file; - for standard input.", valueName: "file"))
  var file = "-"

  @Option(help: ArgumentHelp("Calls of this model alone.", valueName: "name"))
  var model: String?

  @Option(help: ArgumentHelp("Calls with this status alone, for example NOT_FOUND.", valueName: "code"))
  var code: String?

  @Option(help: ArgumentHelp("Calls of this caller alone, for example token:checkout.", valueName: "name"))
  var identity: String?

  @Option(help: ArgumentHelp("Calls of this trace alone: 32 hexadecimal digits.", valueName: "id"))
  var trace: String?

  @Option(help: ArgumentHelp("Nothing before.", valueName: "time"))
  var since: String?

  @Option(help: ArgumentHelp("Nothing from then on.", valueName: "time"))
  var until: String?

  @Option(help: ArgumentHelp("Calls that took longer alone.", valueName: "ms"))
  var slowerThan: Double?

  @Flag(help: "Wait for further lines, also after the file has been renamed and begun anew.")
  var follow = false

  @Flag(help: "Print errors, percentiles, the slowest calls and calls over time instead of lines.")
  var summary = false

  @Flag(help: "Print lines as they are, or the summary as one JSON document.")
  var json = false

  func validate() throws {
    if follow, summary { throw ValidationError("--follow does not end, so there is no --summary of it") }
    if let slowerThan, !(0...1e9).contains(slowerThan) {
      throw ValidationError("--slower-than takes milliseconds, 0 or more")
    }
    if let code, !StatusCode.allCases.contains(where: { $0.name == code.uppercased() }) {
      throw ValidationError("--code takes a status such as OK, NOT_FOUND or UNAVAILABLE, not \(code)")
    }
    _ = try filter()
  }

  func filter() throws -> LogFilter {
    var filter = LogFilter()
    filter.model = model
    filter.code = code?.uppercased()
    filter.identity = identity
    filter.traceID = trace?.lowercased()
    if let since { filter.since = try time(since, "--since") }
    if let until { filter.until = try time(until, "--until") }
    filter.slowerThan = slowerThan.map { UInt64($0 * 1e6) }
    return filter
  }

  private func time(_ text: String, _ option: String) throws -> Int64 {
    guard let time = logTime(text, now: LogTime.now) else {
      throw ValidationError("\(option) takes a time such as 2026-11-24T16:00:00Z, 2026-11-24 or 10m")
    }
    return time
  }

  func run() throws {
    // A reader that ends early, such as head, ends this too.
    signal(SIGPIPE, SIG_DFL)
    let taker = LogTaker(try filter(), isSummary: summary, isJSON: json)
    do throws(SystemError) {
      var lines = try LogLines(file)
      while try readOn(&lines, taker) {}
      lines.finish(taker.take)
      taker.skipped += lines.longLines
    } catch { throw failure("\(error)") }
    taker.end()
  }

  /// Reads a piece; false at the end, which never comes while a file is followed.
  private func readOn(_ lines: inout LogLines, _ taker: LogTaker) throws(SystemError) -> Bool {
    if try lines.read(taker.take) { return true }
    guard follow, file != "-" else { return false }
    taker.flush()
    if !lines.followRename() { usleep(100_000) }
    return true
  }
}

/// What becomes of the lines that are read.
final class LogTaker {
  private let filter: LogFilter
  private let isSummary: Bool
  private let isJSON: Bool
  private let isColoured = LogStyle(format: "text", descriptor: STDOUT_FILENO) == .text(isColoured: true)
  private var output = LogPrinter()
  private var summary = LogSummary()
  /// Lines that are none.
  var skipped = 0

  init(_ filter: LogFilter, isSummary: Bool, isJSON: Bool) {
    self.filter = filter
    self.isSummary = isSummary
    self.isJSON = isJSON
  }

  func take(_ line: UnsafeRawBufferPointer) {
    guard let entry = LogEntry(line) else {
      skipped += 1
      return
    }
    guard filter.wants(entry) else { return }
    if isSummary { return summary.add(entry) }
    if isJSON { output.add(line) } else { output.add(entry.text(isColoured: isColoured)) }
  }

  func flush() { output.flush() }

  func end() {
    output.flush()
    if isSummary {
      if isJSON { print(summary.json(skipped: skipped)) } else { summary.print(skipped: skipped) }
    } else if skipped > 0 {
      printError("apus: \(skipped) lines are no log lines and were skipped")
    }
  }
}

/// Standard output in large pieces.
struct LogPrinter {
  private var bytes: [UInt8] = []

  mutating func add(_ text: String) {
    bytes += text.utf8
    endLine()
  }

  mutating func add(_ line: UnsafeRawBufferPointer) {
    bytes += line
    endLine()
  }

  private mutating func endLine() {
    bytes.append(UInt8(ascii: "\n"))
    if bytes.count > 64 << 10 { flush() }
  }

  mutating func flush() {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      guard count > 0 else { break }
      rest = rest.dropFirst(count)
    }
    bytes.removeAll(keepingCapacity: true)
  }
}
