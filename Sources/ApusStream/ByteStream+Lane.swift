import ApusBase
import ApusIO
import ApusLane
import Glibc

/// A stream whose frames go through a lane. The socket beside it carries bells, bytes that mean nothing, and
/// ends when the peer does.
extension ByteStream {
  @inline(__always)
  mutating func receiveFromLane(into space: UnsafeMutableRawBufferPointer) -> Transfer {
    if lane?.isArmed ?? false { lane!.disarm() }
    var transfer = lane!.receive(into: space)
    if case .wouldBlock = transfer, lane?.isSocketDue ?? false {
      takeBells()
      // What the peer wrote before it ended.
      transfer = lane!.receive(into: space)
      if case .wouldBlock = transfer, lane?.peerHasEnded ?? false { transfer = .end }
    }
    ringIfOwed()
    return transfer
  }

  /// Waits until something comes or the socket's receive time-out passes.
  mutating func receiveFromLaneWaiting(into space: UnsafeMutableRawBufferPointer) -> Transfer {
    while true {
      let transfer = receiveFromLane(into: space)
      guard transfer == .wouldBlock else { return transfer }
      guard lane!.arm() else { continue }
      guard takeBell(waiting: true) else { return .wouldBlock }
      if lane?.peerHasEnded ?? false { lane!.isSocketDue = true }
    }
  }

  mutating func sendToLane(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    let transfer = lane!.send(bytes)
    ringIfOwed()
    return transfer
  }

  /// Makes the next receive look at the socket, where something happened.
  package mutating func noteSocket() {
    if isLane { lane!.isSocketDue = true }
  }

  /// Before sleeping on the socket: asks for a bell.
  ///
  /// - Returns: false where something has come already.
  package mutating func prepareToSleep() -> Bool { isLane ? lane!.arm() : true }

  /// Waits until there is something to receive or, on wish, room to send, at most so long.
  package mutating func sleep(untilWritableToo: Bool, nanoseconds: UInt64) {
    guard !hasBuffered, prepareToSleep() else { return }
    // A lane's bell tells of room, too.
    descriptor.wait(forWritingToo: untilWritableToo && !isLane, nanoseconds: nanoseconds)
    noteSocket()
  }

  private mutating func ringIfOwed() {
    guard lane!.takeOwedBell() else { return }
    var bell: UInt8 = 0
    // Where the socket has no room, bells wait in it that the peer has not taken.
    _ = withUnsafeBytes(of: &bell) { descriptor.send($0) }
  }

  /// Takes the bells that have been rung.
  ///
  /// - Returns: false when the peer has ended.
  @discardableResult
  package mutating func takeBells() -> Bool {
    lane!.isSocketDue = false
    _ = takeBell(waiting: false)
    return !(lane?.peerHasEnded ?? true)
  }

  /// Takes bells off the socket, up to 64, and a descriptor where one is awaited; false where nothing came in
  /// time.
  private mutating func takeBell(waiting: Bool) -> Bool {
    var bells = (UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0))
    let awaitsDescriptor = lane?.awaitsDescriptor ?? false
    var passed: Int32 = -1
    let transfer = withUnsafeMutableBytes(of: &bells) { bells in
      if awaitsDescriptor { return descriptor.receive(into: bells, passed: &passed) }
      return waiting ? descriptor.receiveBlocking(into: bells) : descriptor.receive(into: bells)
    }
    if passed >= 0 { lane!.take(Descriptor(owning: passed)) }
    switch transfer {
    case .bytes: return true
    case .wouldBlock: return false
    case .end, .failed:
      lane!.peerHasEnded = true
      return true
    }
  }
}
