import CLinux
import Glibc

/// A thread with a name. It must be joined, so that no thread outlives what it uses.
package struct Thread: ~Copyable, Sendable {
  private let handle: pthread_t

  private final class Body: Sendable {
    let name: String
    let run: @Sendable () -> Void
    init(name: String, run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }

  /// - Parameter name: at most 15 characters, as the kernel keeps.
  package init(name: String, _ run: @escaping @Sendable () -> Void) throws(SystemError) {
    var handle = pthread_t()
    let body = Unmanaged.passRetained(Body(name: name, run: run))
    let code = pthread_create(&handle, nil, { argument in
      guard let argument else { return nil }
      let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
      clinux_name_thread(body.name)
      body.run()
      return nil
    }, body.toOpaque())
    guard code == 0 else {
      body.release()
      throw SystemError("start the thread \(name)", errorNumber: code)
    }
    self.handle = handle
  }

  /// Waits for the thread's end.
  package consuming func join() { pthread_join(handle, nil) }

  /// Lets threads of higher priority go first when they have work: for what is done beside serving.
  package static func lowerPriority() { _ = clinux_set_nice(10) }

  /// The same, less so: for what others wait for, too.
  package static func lowerPriorityALittle() { _ = clinux_set_nice(4) }
}
