import ApusBase

/// The calls of one connection among those that wait in a queue, apart for each priority: what it asks for as
/// batch work does not delay its other calls.
///
/// Invariant that makes it safe to share: only the queue that its calls wait in touches its fields, where it
/// is shared under its lock.
package final class Flow: @unchecked Sendable {
  struct Share {
    /// Where the work that it has asked for ends, in the queue's virtual time.
    var end: UInt64 = 0
    /// The turn of the call that came last.
    var lastTag: UInt64 = 0
    /// Calls that wait.
    var waiting = 0
  }

  private var interactive = Share()
  private var batch = Share()

  package init() {}

  subscript(priority: CallPriority) -> Share {
    get { priority == .interactive ? interactive : batch }
    set {
      if priority == .interactive { interactive = newValue } else { batch = newValue }
    }
  }
}
