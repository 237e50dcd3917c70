import ApusAccess
import ApusBase
import ApusEngine
import ApusIO
import ApusLane
import ApusStream
import ApusWire

/// Lanes: connections whose frames go through shared memory, and the regions that their tensors lie in.
extension Reactor {
  /// Moves a connection into a lane.
  ///
  /// - Returns: nil when the connection was closed, false when the request must wait for the peer to read.
  mutating func openLane(
    _ frame: Pending, _ metadata: UnsafeRawBufferPointer, _ key: SlotKey,
    _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> Bool? {
    let request = try OpenLaneRequest(decoding: metadata, arena: arena)
    guard connection.pointee.transport == .unix else {
      throw Status(.failedPrecondition, "LANE_NOT_HERE", "a lane is opened over a Unix socket, once")
    }
    guard fleet.sum(.open, .lane) < UInt64(limits.lanes) else {
      throw Status(.resourceExhausted, "LANE_LIMIT", "this server has as many lanes as it may")
    }
    guard flush(key, connection) else { return nil }
    if connection.pointee.backlog != nil { return false }
    let layout = LaneLayout(
      requestBytes: ringBytes(request.requestBytes), answerBytes: ringBytes(request.answerBytes))
    let memory = try Self.memory(for: layout)
    let lane = try Self.end(of: layout, in: memory)
    appendFrame(.answer, method: Method.openLane.rawValue, requestID: frame.header.requestID, flags: []) {
      layout.encode(into: $0, arena: $1)
    }
    recorder.answered(.ok)
    guard send(passing: memory, connection) else {
      close(key)
      return nil
    }
    connection.pointee.stream.lane = consume lane
    recorder.add(.open, .unix, .max)
    connection.pointee.transport = .lane
    recorder.add(.open, .lane, 1)
    recorder.add(.total, .lane, 1)
    awakeLanes.append(key)
    // Lanes are looked at in another way.
    hot = nil
    return true
  }

  private static func memory(for layout: LaneLayout) throws(Status) -> Descriptor {
    do { return try SharedMemory.make(byteCount: layout.memoryBytes) } catch { throw .memoryExhausted }
  }

  private static func end(
    of layout: LaneLayout, in memory: borrowing Descriptor
  ) throws(Status) -> LaneEnd {
    do { return try LaneEnd(memory, layout, as: .server) } catch { throw .memoryExhausted }
  }

  private func ringBytes(_ wanted: UInt64) -> Int {
    LaneLayout.ringBytes(
      atLeast: wanted == 0 ? UInt64(limits.laneRingBytes) : wanted, atMost: limits.laneRingBytes)
  }

  /// Sends the one answer that was made, whole, and a descriptor with it: a peer whose socket has no room for
  /// it does not read.
  private mutating func send(
    passing descriptor: borrowing Descriptor, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    let bytes = UnsafeRawBufferPointer(start: answers.baseAddress, count: answerBytes)
    answerBytes = 0
    recorder.add(.systemCalls)
    recorder.add(.sentBytes, .unix, UInt64(bytes.count))
    return connection.pointee.stream.descriptor.send(bytes, passing: descriptor) == .bytes(bytes.count)
  }

  // MARK: Waiting

  /// Goes on with the lanes in which something has arrived.
  ///
  /// - Returns: whether there were any.
  @discardableResult
  mutating func advanceAwakeLanes() -> Bool {
    readyConnections = awakeLanes.count == 1 ? 1 : countArrived()
    guard readyConnections > 0 else { return false }
    var place = 0
    var found = false
    while place < awakeLanes.count {
      let key = awakeLanes[place]
      guard let connection = connections.pointer(to: key), connection.pointee.isAwakeLane else {
        awakeLanes.swapAt(place, awakeLanes.count - 1)
        awakeLanes.removeLast()
        continue
      }
      if connection.pointee.stream.hasBuffered, connection.pointee.isReading {
        found = true
        advance(key, .readable, at: .now)
      }
      place += 1
    }
    return found
  }

  /// Lanes that have something to read, or are no lanes to be looked at any more.
  private func countArrived() -> Int {
    var count = 0
    for place in 0..<awakeLanes.count {
      guard let connection = connections.pointer(to: awakeLanes[place]), connection.pointee.isAwakeLane else {
        count += 1
        continue
      }
      if connection.pointee.stream.hasBuffered { count += 1 }
    }
    return count
  }

  /// A lane that may have been rung for, or is read, is not asked for a bell any more: it is looked at.
  mutating func keepAwake(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    guard !connection.pointee.isAwakeLane else { return }
    connection.pointee.stream.lane?.disarm()
    awakeLanes.append(key)
  }

  /// Asks all lanes for a bell.
  ///
  /// - Returns: false where something has come in one of them: no time to sleep.
  mutating func armLanes() -> Bool {
    var kept = 0
    for place in 0..<awakeLanes.count {
      let key = awakeLanes[place]
      guard let connection = connections.pointer(to: key), connection.pointee.isAwakeLane,
        !connection.pointee.stream.prepareToSleep()
      else { continue }
      if connection.pointee.isReading { unread.append(key) }
      awakeLanes[kept] = key
      kept += 1
    }
    awakeLanes.removeLast(awakeLanes.count - kept)
    return unread.isEmpty
  }

  /// The socket of a lane has something to say: a bell, the peer's end, or a descriptor.
  ///
  /// - Returns: false when the peer is gone and its answers with it: the connection was closed.
  mutating func noteSocket(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) -> Bool {
    keepAwake(key, connection)
    guard connection.pointee.backlog != nil else {
      connection.pointee.stream.noteSocket()
      return true
    }
    // Nothing is received now, and a bell that stayed would be told of without end.
    recorder.add(.systemCalls)
    if connection.pointee.stream.takeBells() { return true }
    close(key)
    return false
  }

  // MARK: Regions

  /// Asks for the descriptor of a region, which goes over the socket: the only time that one is taken.
  mutating func registerRegion(
    _ frame: Pending, _ metadata: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    let request = try RegisterRegionRequest(decoding: metadata, arena: arena)
    guard connection.pointee.transport == .lane else {
      throw Status(.failedPrecondition, "LANE_NOT_HERE", "regions are registered over a lane")
    }
    guard request.region > 0, connection.pointee.regions[request.region] == nil else {
      throw Status(.invalidArgument, "REGION_IN_USE", "a region's number is 1 or more, and not in use")
    }
    let room = limits.regionBytes - connection.pointee.regions.byteCount
    guard connection.pointee.regions.awaited == nil,
      connection.pointee.regions.count < limits.regionsPerConnection, request.byteCount > 0,
      request.byteCount <= UInt64(max(0, room))
    else {
      throw Status(
        .resourceExhausted, "REGION_LIMIT",
        "a connection has at most \(limits.regionsPerConnection) regions, of \(limits.regionBytes) bytes in "
          + "all, and registers one at a time")
    }
    connection.pointee.regions.awaited = RegionTable.Awaited(
      requestID: frame.header.requestID, request: request)
    connection.pointee.deferred.append(frame.header.requestID)
    connection.pointee.stream.lane?.awaitDescriptor()
    appendFrame(
      .answer, method: Method.registerRegion.rawValue, requestID: frame.header.requestID, flags: .more
    ) { _, _ in 0 }
  }

  /// Takes the region whose descriptor has come, if one has.
  ///
  /// - Returns: false when the connection was closed.
  mutating func takeRegion(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) -> Bool {
    guard let awaited = connection.pointee.regions.awaited,
      let passed = connection.pointee.stream.lane?.takePassed()
    else { return true }
    connection.pointee.regions.awaited = nil
    var result: Result<[UInt8], Status> = .success([])
    do throws(SystemError) {
      let region = try SharedRegion(passed, byteCount: Int(awaited.request.byteCount))
      connection.pointee.regions.add(awaited.request.region, region)
    } catch {
      result = .failure(
        Status(
          .invalidArgument, "REGION_REFUSED",
          "a region is a memfd of ordinary pages with F_SEAL_SHRINK set, as large as it is said to be"
        ))
    }
    take(
      DeferredAnswer(
        connection: key.rawValue, requestID: awaited.requestID, method: Method.registerRegion.rawValue,
        result: result, isLast: true))
    return connections.pointer(to: key) != nil
  }

  mutating func unregisterRegion(
    _ frame: Pending, _ metadata: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    let request = try UnregisterRegionRequest(decoding: metadata, arena: arena)
    guard connection.pointee.regions.remove(request.region) else { throw .regionUnknown(request.region) }
    connection.pointee.memory.requestBytes = -1
    succeed(frame) { _, _ in 0 }
  }
}

// MARK: - Tensors in regions

extension Reactor {
  /// Holds a part that lies in a region against the limits of a body.
  func checkRegion(
    of input: InputPart, _ frame: Pending, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) {
    guard (input.region > 0) == FrameFlags(rawValue: frame.header.flags).contains(.sharedRegion) else {
      throw Status(
        .invalidArgument, "FLAGS_UNKNOWN", "flag 1 is set where a part lies in a region, and only there")
    }
    guard input.region > 0 else { return }
    let longest = limits.longestBody(of: connection.pointee.standing)
    guard input.byteCount <= longest else { throw .bodyTooLarge(longest) }
  }

  /// Where the numbers of a call lie that are in a region.
  func inputInRegion(
    _ call: PreparedCall, _ connection: UnsafeMutablePointer<Connection>
  ) throws(Status) -> (start: UnsafeRawPointer, region: SharedRegion) {
    guard let region = connection.pointee.regions[call.region], let start = region.bytes.baseAddress else {
      throw .regionUnknown(call.region)
    }
    return (UnsafeRawPointer(start) + call.inputOffset, region)
  }

  /// Where the numbers of a call lie. Numbers of a region are read there if the model allows that they change
  /// meanwhile, and otherwise from a copy.
  func input(
    of call: PreparedCall, _ frame: Pending, _ base: UnsafeRawPointer, _ plan: Plan,
    _ connection: UnsafeMutablePointer<Connection>, copy: inout MappedBuffer?
  ) throws(Status) -> UnsafeRawPointer {
    guard call.region > 0 else { return base + frame.offset + frame.layout.bodyOffset + call.inputOffset }
    let input = try inputInRegion(call, connection).start
    if plan.inputMayChange { return input }
    let byteCount = call.rows * plan.inputs * plan.inputElement.byteCount
    guard let memory = MappedBuffer(byteCount: byteCount) else { throw .memoryExhausted }
    memory.baseAddress.copyMemory(from: input, byteCount: byteCount)
    recorder.add(.tensorCopies)
    recorder.add(.tensorCopiedBytes, UInt64(byteCount))
    let copied = UnsafeRawPointer(memory.baseAddress)
    copy = consume memory
    return copied
  }
}

extension Connection {
  /// A lane that is looked at without a bell.
  var isAwakeLane: Bool {
    switch stream.lane {
    case .some(let lane): !lane.isArmed
    case .none: false
    }
  }

  /// Whether what has come would be taken.
  var isReading: Bool { phase == .open && backlog == nil && !peerEnded && !isFull }
}
