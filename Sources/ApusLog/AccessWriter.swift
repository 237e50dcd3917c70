import ApusBase
import ApusIO
import Glibc
import Synchronization

/// What the thread of the access log owns: the file, the lines under way and the budget.
struct AccessWriter: ~Copyable {
  private let settings: AccessLog.Settings
  private let output: LogOutput
  private let counts: AccessCounts
  private var lines: AccessLines
  private var file: Descriptor?
  private var line = LogLine()
  /// Slow calls for the server's own log, in its style.
  private var slowLine = LogLine()
  private var linesInBuffer: UInt64 = 0
  /// Lines that may be written now; it grows with time up to what a second allows.
  private var budget: Double
  private var lastPass = Instant.now
  private var droppedBefore: UInt64 = 0
  private var quietUntil = Instant(nanoseconds: 0)
  private var lastError: Int32 = 0

  private static let bufferBytes = 64 << 10
  private static let recordsAtATime = 256

  init(
    _ settings: AccessLog.Settings, lines: AccessLines, output: LogOutput, counts: AccessCounts
  ) throws(SystemError) {
    self.settings = settings
    self.output = output
    self.counts = counts
    self.lines = lines
    budget = Double(settings.maximumPerSecond)
    if let path = settings.path { file = try Self.open(path) }
  }

  private static func open(_ path: String) throws(SystemError) -> Descriptor {
    let number =
      path == "-" ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)
      : Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
    guard number >= 0 else { throw SystemError("open the access log \(path)", errorNumber: errno) }
    return Descriptor(owning: number)
  }

  /// A file that cannot be opened again leaves the old one in use.
  mutating func reopen() {
    guard let path = settings.path, path != "-" else { return }
    do throws(SystemError) { file = try Self.open(path) } catch {
      output.write(.error, "the access log stays where it was: \(error)", logger: "apus")
    }
  }

  /// Writes what is in the rings.
  ///
  /// - Parameter isLast: then however many there are.
  mutating func pass(_ rings: [AccessRing], isLast: Bool) {
    let now = Instant.now
    let allowed = Double(settings.maximumPerSecond)
    budget = min(allowed, budget + allowed * Double(now.since(lastPass)) / 1e9)
    lastPass = now
    if isLast { budget = .infinity }
    let wallOffset = LogTime.now - Int64(Instant.now.nanoseconds / 1000)
    for ring in rings { empty(ring, wallOffset) }
    flush()
    if isLast || now >= quietUntil { tellDropped(rings, now) }
  }

  private mutating func empty(_ ring: AccessRing, _ wallOffset: Int64) {
    // A ring that fills as quickly as it is emptied must not keep this pass from ending.
    var left = settings.ringCapacity
    while left > 0 {
      let count = ring.take(atMost: min(left, Self.recordsAtATime)) { add($0, wallOffset) }
      left -= count
      if line.bytes.count + slowLine.bytes.count >= Self.bufferBytes { flush() }
      if count < Self.recordsAtATime { return }
    }
  }

  private mutating func add(_ record: AccessRecord, _ wallOffset: Int64) {
    let isSlow = settings.slowNanoseconds > 0 && record.totalNanoseconds > settings.slowNanoseconds
    if isSlow, settings.path != "-", output.level <= .warning { addSlow(record, wallOffset) }
    guard settings.path != nil else { return }
    if !isSlow {
      guard budget >= 1 else {
        counts.overLimit.addFromOneThread(1)
        return
      }
      budget -= 1
    }
    lines.append(record, to: &line, wallOffset: wallOffset, isSlow: isSlow)
    linesInBuffer += 1
  }

  private mutating func addSlow(_ record: AccessRecord, _ wallOffset: Int64) {
    if output.style == .json {
      lines.append(record, to: &slowLine, wallOffset: wallOffset, isSlow: true)
      if settings.path == nil { counts.written.addFromOneThread(1) }
      return
    }
    flush()
    output.write(.warning, "slow call", logger: "apus.access", fields: lines.fields(record))
    if settings.path == nil { counts.written.addFromOneThread(1) }
  }

  private mutating func flush() {
    if !slowLine.bytes.isEmpty {
      output.write(slowLine.bytes)
      slowLine.bytes.removeAll(keepingCapacity: true)
    }
    guard !line.bytes.isEmpty else { return }
    let error = write(line.bytes)
    if error == 0 {
      counts.written.addFromOneThread(linesInBuffer)
    } else {
      counts.overLimit.addFromOneThread(linesInBuffer)
    }
    if error != lastError, error != 0 {
      output.write(
        .error, "the access log cannot be written: \(SystemError("write", errorNumber: error))",
        logger: "apus")
    }
    lastError = error
    linesInBuffer = 0
    line.bytes.removeAll(keepingCapacity: true)
  }

  /// A line of its own says how many calls have none.
  private mutating func tellDropped(_ rings: [AccessRing], _ now: Instant) {
    let dropped = rings.reduce(counts.overLimit.load(ordering: .relaxed)) { $0 + $1.droppedCount }
    guard dropped > droppedBefore else { return }
    quietUntil = now.advanced(by: 1_000_000_000)
    let more = dropped - droppedBefore
    droppedBefore = dropped
    var time = LogTime()
    var line = LogLine()
    line.begin()
    line.time(LogTime.now, &time)
    line.text("level", "warning")
    line.text("message", "calls that are not in this log")
    line.text("logger", "apus.access")
    line.number("dropped", more)
    line.number("dropped_total", dropped)
    line.end()
    line.newline()
    if settings.path != nil {
      _ = write(line.bytes)
    } else {
      output.write(
        .warning, "calls that are not in this log", logger: "apus.access", fields: [("dropped", "\(more)")])
    }
  }

  /// - Returns: 0, or why the file took not all of it.
  private borrowing func write(_ bytes: [UInt8]) -> Int32 {
    switch file {
    case .some(let file): writeAll(bytes, to: file.number)
    case .none: 0
    }
  }
}
