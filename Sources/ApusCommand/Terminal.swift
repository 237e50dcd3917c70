import ApusLog
import ArgumentParser
import Glibc

/// Writes one line to standard error and gives the exit status to throw.
///
/// - Parameter status: 1 when the server answered with an error or cannot be reached, 2 for wrong usage.
func failure(_ message: String, status: Int32 = 1) -> ExitCode {
  printError("apus: \(printable(message))")
  return ExitCode(status)
}

/// Calls `body`, which may do only what signal-safety(7) allows, at Ctrl-C and SIGTERM, whatever the parent
/// process had blocked or ignored.
func onEndSignals(_ body: @escaping @convention(c) (Int32) -> Void) {
  var set = sigset_t()
  sigemptyset(&set)
  for number in [SIGINT, SIGTERM, SIGHUP] {
    sigaddset(&set, number)
    _ = signal(number, body)
  }
  _ = pthread_sigmask(SIG_UNBLOCK, &set, nil)
}

/// A text from a server or a file made fit for a terminal: what could move the cursor is escaped.
func printable(_ text: String) -> String { LogOutput.singleLine(text) }

/// A duration in the unit that a person would say.
func duration(nanoseconds: UInt64) -> String {
  let value = Double(nanoseconds)
  switch nanoseconds {
  case ..<1000: return "\(nanoseconds) ns"
  case ..<1_000_000: return formatted(value / 1e3, value < 1e5 ? "%.1f µs" : "%.0f µs")
  case ..<1_000_000_000: return formatted(value / 1e6, "%.1f ms")
  case ..<120_000_000_000: return formatted(value / 1e9, "%.1f s")
  default:
    let minutes = nanoseconds / 60_000_000_000
    return minutes < 120 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
  }
}

/// Bytes in the unit that a person would say.
func byteSize(_ bytes: UInt64) -> String {
  switch bytes {
  case ..<1024: "\(bytes) B"
  case ..<(1 << 20): formatted(Double(bytes) / 1024, "%.1f KiB")
  case ..<(1 << 30): formatted(Double(bytes) / Double(1 << 20), "%.1f MiB")
  default: formatted(Double(bytes) / Double(1 << 30), "%.1f GiB")
  }
}

/// Lines of cells under a heading, each column as wide as its widest cell.
struct Table {
  private var rows: [[String]]
  private let rightAligned: Set<Int>

  /// - Parameter rightAligned: the columns of numbers, from 0.
  init(_ headings: [String], rightAligned: Set<Int> = []) {
    rows = [headings]
    self.rightAligned = rightAligned
  }

  mutating func add(_ cells: [String]) { rows.append(cells.map(printable)) }

  func print() {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    for row in rows {
      var line = row.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return rightAligned.contains(column) ? space + cell : cell + space
      }.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      Swift.print(line)
    }
  }
}
