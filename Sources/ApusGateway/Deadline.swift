import NIOCore

/// A time by which something must have happened on a connection, which is otherwise closed, or told. It lives
/// on its channel's event loop.
///
/// Setting and clearing one costs a look at the clock: a task is scheduled only where none waits, and when it
/// runs it waits again for a later time.
final class Deadline {
  private let time: TimeAmount
  private let expire: (any Channel) -> Void
  private var due: NIODeadline?
  private var task: Scheduled<Void>?

  init(_ nanoseconds: UInt64, expire: @escaping (any Channel) -> Void = { $0.close(promise: nil) }) {
    time = .nanoseconds(Int64(min(nanoseconds, 1 << 62)))
    self.expire = expire
  }

  /// Begins the time, unless it runs already.
  func set(_ channel: any Channel) {
    guard due == nil else { return }
    let due = NIODeadline.now() + time
    self.due = due
    if task == nil { schedule(channel, at: due) }
  }

  func clear() { due = nil }

  /// Begins the time anew.
  func reset(_ channel: any Channel) {
    clear()
    set(channel)
  }

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
      if due <= .now() { self.expire(channel) } else { self.schedule(channel, at: due) }
    }
  }
}
