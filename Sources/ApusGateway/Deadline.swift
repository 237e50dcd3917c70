import NIOCore

/// A time by which something must have happened on a connection, which is closed otherwise. It lives on its
/// channel's event loop.
///
/// Setting and clearing one costs a look at the clock: a task is scheduled only where none waits, and when it
/// runs it waits again for a later time.
final class Deadline {
  private let time: TimeAmount
  private var due: NIODeadline?
  private var task: Scheduled<Void>?

  init(_ nanoseconds: UInt64) { time = .nanoseconds(Int64(min(nanoseconds, 1 << 62))) }

  /// Begins the time, unless it runs already.
  func set(_ channel: any Channel) {
    guard due == nil else { return }
    due = .now() + time
    if task == nil { schedule(channel, at: .now() + time) }
  }

  func clear() { due = nil }

  /// Leaves nothing scheduled.
  func end() {
    due = nil
    task?.cancel()
    task = nil
  }

  private func schedule(_ channel: any Channel, at time: NIODeadline) {
    task = channel.eventLoop.assumeIsolated().scheduleTask(deadline: time) {
      self.task = nil
      guard let due = self.due else { return }
      if due <= .now() { channel.close(promise: nil) } else { self.schedule(channel, at: due) }
    }
  }
}
