import NIOCore

/// Runs the tasks of one connection on the thread of its event loop, so that a request is answered by the
/// thread that read it: handing it to another and back would cost two wake-ups, more than the answer.
final class LoopExecutor: TaskExecutor {
  private let loop: any EventLoop

  init(_ loop: any EventLoop) { self.loop = loop }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
