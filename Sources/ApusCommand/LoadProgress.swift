import Glibc
import Synchronization

/// How far a load is, for the line that is shown while it runs. Each thread adds to it.
final class LoadProgress: Sendable {
  let calls = Atomic<Int>(0)
  let errors = Atomic<Int>(0)
  /// Threads that are done.
  let finished = Atomic<Int>(0)

  /// Rewrites a line on standard error a few times a second until so many threads are done, then clears it.
  func show(until threads: Int) {
    var seconds = 0.0
    while finished.load(ordering: .relaxed) < threads {
      _ = usleep(200_000)
      seconds += 0.2
      let calls = calls.load(ordering: .relaxed)
      let rate = formatted(Double(calls) / seconds, "%.0f")
      writeError(
        "\r\(formatted(seconds, "%.1f")) s  \(calls) calls, \(rate) a second, "
          + "\(errors.load(ordering: .relaxed)) errors\u{1B}[K")
    }
    writeError("\r\u{1B}[K")
  }
}
