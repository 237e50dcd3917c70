package import ApusBase
import ApusIO
import ApusLane
import ApusStream
import ApusWire

/// Whether a connection to a `unix:` address becomes a lane: shared memory in place of the socket, which the
/// server opens where it may (docs/protocol.md).
public enum LaneUse: Sendable {
  case never
  /// A lane where the server opens one, and otherwise the socket.
  case automatic
}

extension ClientConnection {
  /// Whether frames go through shared memory.
  package var isLane: Bool { stream.isLane }

  /// Makes of a connection what its address and the client want.
  ///
  /// - Throws: `connectionFailed` where it must be a lane and the server opens none.
  mutating func openLane(at address: Address, _ use: LaneUse, until deadline: Instant) throws(ClientError) {
    switch address {
    case .lane:
      if let refusal = try openLane(until: deadline) {
        throw .connectionFailed("the server opens no lane: \(refusal)")
      }
    case .unix: if use == .automatic { _ = try openLane(until: deadline) }
    case .tcp, .tls: break
    }
  }

  /// Moves the connection into a lane, blocking. Nothing is in flight. Where the server refuses, the
  /// connection goes on over its socket.
  ///
  /// - Returns: why the server refuses; nil: this is a lane.
  /// - Throws: `connectionFailed` when the deadline has passed, and what `receive` throws.
  private mutating func openLane(until deadline: Instant) throws(ClientError) -> String? {
    let id = try submit(.openLane) { OpenLaneRequest().encode(into: $0, arena: $1) }
    var memory: Descriptor?
    while true {
      let isSent = sendSome()
      giveBack()
      var passed: Int32 = -1
      let transfer = stream.descriptor.receive(into: input.writable, passed: &passed)
      if passed >= 0 { memory = Descriptor(owning: passed) }
      guard try take(transfer) else {
        let left = deadline.nanosecondsLeft
        guard left > 0 else { throw .connectionFailed("the server did not open a lane in time") }
        stream.descriptor.wait(forWritingToo: !isSent, nanoseconds: left)
        continue
      }
      while let view = try nextAnswer() {
        guard view.requestID == id else { continue }
        if view.isStatus { return status(view).message }
        stream.lane = try lane(view, memory.take())
        return nil
      }
    }
  }

  private func lane(
    _ view: AnswerView, _ memory: consuming Descriptor?
  ) throws(ClientError) -> LaneEnd {
    guard let memory else { throw .protocolBroken("a lane came without its memory") }
    do {
      return try LaneEnd(memory, LaneLayout(decoding: view.metadata, arena: arena), as: .client)
    } catch { throw .connectionFailed("a lane that cannot be used: \(error)") }
  }
}

// MARK: - Regions

extension ClientConnection {
  /// Lets the server look into a region, if it does not yet: it says when the descriptor may come, and once
  /// more when it has it.
  package mutating func register(_ region: TensorRegion, until deadline: Instant) throws(ClientError) {
    guard !regions.contains(region.number) else { return }
    let request = RegisterRegionRequest(region: region.number, byteCount: UInt64(region.bytes.count))
    let id = try submit(.registerRegion) { request.encode(into: $0, arena: $1) }
    while let view = try receive(until: deadline) {
      guard view.requestID == id else { continue }
      if view.isStatus { throw .status(ServerStatus(status(view))) }
      guard view.hasMore else {
        regions.append(region.number)
        return
      }
      var byte: UInt8 = 0
      let sent = withUnsafeBytes(of: &byte) { stream.descriptor.send($0, passing: region.descriptor) }
      guard sent == .bytes(1) else { throw .connectionLost("the descriptor of a region could not be sent") }
    }
    throw .timedOut
  }
}
