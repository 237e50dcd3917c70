import CLinux
import Glibc

/// A value behind a mutex that threads can wait for: `Locked` with a condition.
///
/// Invariant of the unsafe code here: `mutex` and `condition` are initialised once, never moved, and
/// destroyed when nobody can use them; the value is touched only while the mutex is held.
package final class Monitor<Value: ~Copyable>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var value: Value

  package init(_ value: consuming Value) {
    mutex = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    condition = .allocate(capacity: 1)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
    self.value = value
  }

  deinit {
    pthread_cond_destroy(condition)
    condition.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body` while no other thread is in here.
  package func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }

  package enum Step<Result> {
    case done(Result)
    case sleep(until: Instant)
  }

  /// Runs `body` until it is done, and sleeps in between until somebody notifies or the time has come.
  package func waiting<Result>(_ body: (inout Value) -> Step<Result>) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while true {
      switch body(&value) {
      case .done(let result): return result
      case .sleep(.never): pthread_cond_wait(condition, mutex)
      case .sleep(let time):
        var end = timespec(
          tv_sec: Int(time.nanoseconds / 1_000_000_000), tv_nsec: Int(time.nanoseconds % 1_000_000_000))
        pthread_cond_timedwait(condition, mutex, &end)
      }
    }
  }

  /// Wakes one thread that sleeps.
  package func notifyOne() { pthread_cond_signal(condition) }

  /// Wakes all that sleep.
  package func notifyAll() { pthread_cond_broadcast(condition) }
}
