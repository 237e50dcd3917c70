import ApusBase
import ApusEngine
import ApusWire

/// Bodies of calls that will wait, of which most is still to come: the kernel writes them where their batch
/// is computed. The connection's last call tells which they are: nothing is decoded here.
extension Reactor {
  /// For less, a copy takes no longer than what is done here.
  private static let leastDirectBytes = 4096

  /// Takes rows for the body of the frame that has begun to come, where they are of use. A connection has one
  /// such body at most.
  mutating func beginRows(_ frameBytes: Int, _ connection: UnsafeMutablePointer<Connection>) {
    let begun = UnsafeRawBufferPointer(connection.pointee.ring.readable)
    guard frameBytes - begun.count >= Self.leastDirectBytes, connection.pointee.reception == nil,
      !connection.pointee.peerEnded, !connection.pointee.goawaySent, let start = begun.baseAddress
    else { return }
    let header = FrameHeader(reading: start)
    let layout = FrameLayout(metadataBytes: Int(header.metadataBytes), bodyBytes: Int(header.bodyBytes))
    guard layout.bodyOffset <= begun.count,
      layout.bodyOffset + layout.bodyBytes - begun.count >= Self.leastDirectBytes,
      header.kind == FrameKind.request.rawValue, header.method == Method.classify.rawValue, header.flags == 0,
      isPrepared(start + FrameHeader.byteCount, layout, connection),
      let memory = rows(for: layout, connection)
    else { return }
    connection.pointee.reception = RowReception(layout, memory)
    takeBeginning(begun, layout, connection)
  }

  /// Rows for the body of a call as the connection's last one, if it will wait.
  private mutating func rows(
    for layout: FrameLayout, _ connection: UnsafeMutablePointer<Connection>
  ) -> RowMemory? {
    let call = connection.pointee.prepared
    guard let model = catalog.models[call.modelIndex].loaded, call.region == 0, !call.holdsTexts,
      call.inputOffset == 0,
      layout.bodyBytes == call.rows * model.plan.inputs * model.plan.inputElement.byteCount,
      way(of: call, model) != .atOnce, let ring = rowRing(for: call.modelIndex, model.plan),
      let place = ring.takeForBody(rows: call.rows)
    else { return nil }
    return RowMemory(start: ring.address(of: place), owner: ring, rows: call.rows, ring: ring)
  }

  /// What has come of the body is moved from the ring to its rows.
  private mutating func takeBeginning(
    _ begun: UnsafeRawBufferPointer, _ layout: FrameLayout, _ connection: UnsafeMutablePointer<Connection>
  ) {
    let body = UnsafeRawBufferPointer(rebasing: begun[layout.bodyOffset...])
    guard !body.isEmpty else { return }
    connection.pointee.reception?.add(body)
    connection.pointee.ring.takeBack(body.count)
    recorder.add(.tensorCopies)
    recorder.add(.tensorCopiedBytes, UInt64(body.count))
  }

  /// Finds the frame whose body has rows of its own, if it is whole.
  ///
  /// - Parameter bytes: of the ring: the frame without what its rows hold, and what follows it.
  mutating func findReceived(
    _ bytes: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) -> (count: Int, end: Int, Search) {
    guard let layout = connection.pointee.reception?.layout, let start = bytes.baseAddress else {
      return (0, 0, .done)
    }
    guard connection.pointee.reception?.isDirectWhole == true, bytes.count >= layout.ringBytes else {
      return (0, 0, .needMore(layout.frameBytes))
    }
    let header = FrameHeader(reading: start)
    guard decoder.isZero(start, FrameHeader.byteCount + layout.metadataBytes, layout.bodyOffset),
      decoder.isZero(start, layout.bodyOffset + layout.tailBytes, layout.ringBytes)
    else { return (0, 0, .failure(.paddingNotZero, header.requestID)) }
    // A frame that must wait is found again.
    if connection.pointee.reception?.isWhole == false {
      connection.pointee.reception?.add(
        UnsafeRawBufferPointer(start: start + layout.bodyOffset, count: layout.tailBytes))
      recorder.add(.tensorCopiedBytes, UInt64(layout.tailBytes))
    }
    pending.initialize(to: Pending(offset: 0, header: header, layout: layout, cancelled: false))
    return (1, layout.ringBytes, .done)
  }

  /// The rows that a call's body was received into, if it was and they are of its shape: its version may have
  /// been replaced meanwhile.
  func keepRows(
    _ byteCount: Int, for job: Job, _ call: PreparedCall, _ connection: UnsafeMutablePointer<Connection>
  ) -> (UnsafeRawPointer, AnyObject)? {
    guard let memory = connection.pointee.reception?.keep(rows: call.rows, byteCount: byteCount) else {
      return nil
    }
    job.request.ring = memory.ring
    return (UnsafeRawPointer(memory.start), memory.owner)
  }

  /// Rows for a call that is whole. Rows become free in the order they were taken, so that one body that does
  /// not go on would in time keep all of them: where none are left, bodies under way go on elsewhere, in
  /// memory that their connections account for.
  mutating func takeRows(_ rows: Int, of ring: RowRing) -> Int? {
    if let place = ring.take(rows: rows) { return place }
    guard ring.bodiesUnderWay > 0 else { return nil }
    for slot in 0..<slotsUsed {
      guard let key = connections.key(at: slot), let connection = connections.pointer(to: key),
        connection.pointee.receives(into: ring)
      else { continue }
      moveApart(connection)
    }
    return ring.take(rows: rows)
  }

  private func moveApart(_ connection: UnsafeMutablePointer<Connection>) {
    guard let layout = connection.pointee.reception?.layout,
      let lease = MemoryLease(layout.bodyBytes, of: fleet.memory, for: connection.pointee.account),
      let memory = MappedBuffer(byteCount: layout.bodyBytes),
      let moved = connection.pointee.reception?.move(to: Slab(memory, lease))
    else { return }
    recorder.add(.tensorCopies)
    recorder.add(.tensorCopiedBytes, UInt64(moved))
  }
}
