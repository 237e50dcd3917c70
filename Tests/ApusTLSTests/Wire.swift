import ApusBase
import ApusTLS
import Glibc

/// One direction of a connection in memory, with the ways in which a socket can be awkward.
final class Queue {
  private var storage: [UInt8] = []
  private var start = 0
  /// Bytes that went in or out so far.
  private(set) var movedBytes = 0
  /// Bytes that it holds at most; a writer then waits.
  var capacity = Int.max
  /// Most bytes of one receive or send.
  var pieceBytes = Int.max
  /// Nothing more will come.
  var isEnded = false
  /// What receives and sends fail with; 0: they do not.
  var receiveError: Int32 = 0
  var sendError: Int32 = 0

  var count: Int { storage.count - start }

  /// What is on its way.
  var bytes: [UInt8] {
    get { Array(storage[start...]) }
    set {
      storage = newValue
      start = 0
    }
  }

  func receive(_ space: UnsafeMutableRawBufferPointer) -> Int {
    if receiveError != 0 { return -Int(receiveError) }
    let moved = min(space.count, count, pieceBytes)
    if moved == 0 { return isEnded ? 0 : -Int(EAGAIN) }
    storage.withUnsafeBytes {
      space.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<(start + moved)]))
    }
    start += moved
    movedBytes += moved
    if start == storage.count { bytes = [] }
    return moved
  }

  func send(_ new: UnsafeRawBufferPointer) -> Int {
    if sendError != 0 { return -Int(sendError) }
    let moved = min(new.count, capacity - count, pieceBytes)
    if moved <= 0 { return -Int(EAGAIN) }
    storage += new[..<moved]
    movedBytes += moved
    return moved
  }
}

/// One side of a connection in memory.
final class End {
  let incoming: Queue
  let outgoing: Queue
  /// Calls of the transport so far, both ways.
  private(set) var calls = 0
  private(set) var receives = 0
  /// The call, counted from 0, that would block though there is something; -1: none.
  var blockedCall = -1
  /// The call that moves one byte; -1: none.
  var shortCall = -1
  /// Every second call would block.
  var stutters = false

  init(_ incoming: Queue, _ outgoing: Queue) {
    self.incoming = incoming
    self.outgoing = outgoing
  }

  /// It is good for as long as this object lives.
  var transport: TLSTransport {
    TLSTransport(
      context: Unmanaged.passUnretained(self).toOpaque(),
      receive: { context, bytes, count in
        let end = Unmanaged<End>.fromOpaque(context!).takeUnretainedValue()
        end.receives += 1
        guard let count = end.step(count) else { return -Int(EAGAIN) }
        return end.incoming.receive(UnsafeMutableRawBufferPointer(start: bytes, count: count))
      },
      send: { context, bytes, count in
        let end = Unmanaged<End>.fromOpaque(context!).takeUnretainedValue()
        guard let count = end.step(count) else { return -Int(EAGAIN) }
        return end.outgoing.send(UnsafeRawBufferPointer(start: bytes, count: count))
      })
  }

  /// How many of these bytes this call may move; nil: it would block.
  private func step(_ count: Int) -> Int? {
    let call = calls
    calls += 1
    if call == blockedCall || stutters && call % 2 == 0 { return nil }
    return call == shortCall ? 1 : count
  }
}

/// One side of a connection in memory and its session.
final class Side {
  let end: End
  private var session: TLSSession
  /// What the last `receive` brought.
  private(set) var arrived: [UInt8] = []

  init(_ end: End, _ session: consuming TLSSession) {
    self.end = end
    self.session = session
  }

  func handshake() -> TLSHandshake { session.handshake() }
  func endSending() { session.endSending() }
  var hasBuffered: Bool { session.hasBuffered }
  var failure: String? { session.failure }
  var peer: TLSPeer? { session.peer }
  var isResumed: Bool { session.isResumed }
  var version: String { session.version }
  var cipher: String { session.cipher }
  var ticket: TLSTicket? { session.ticket }

  /// One receive into this much space.
  func receive(_ space: Int = 4096) -> Transfer {
    var buffer = [UInt8](repeating: 0, count: space)
    let transfer = buffer.withUnsafeMutableBytes { session.receive(into: $0) }
    if case .bytes(let count) = transfer { arrived = Array(buffer[..<count]) } else { arrived = [] }
    return transfer
  }

  func send(_ bytes: [UInt8]) -> Transfer { bytes.withUnsafeBytes { session.send($0) } }

  /// Receives until nothing more comes; two waits in a row are overlooked, for a transport that stutters.
  func receiveAll(_ space: Int = 4096) -> (bytes: [UInt8], last: Transfer) {
    var all: [UInt8] = []
    var waits = 0
    while true {
      let transfer = receive(space)
      switch transfer {
      case .bytes:
        all += arrived
        waits = 0
      case .wouldBlock where waits < 2: waits += 1
      default: return (all, transfer)
      }
    }
  }

  /// Sends what it can; what is left is for a later call.
  @discardableResult
  func sendAll(_ bytes: inout ArraySlice<UInt8>) -> Transfer {
    var waits = 0
    while !bytes.isEmpty {
      let transfer = bytes.withUnsafeBytes { session.send($0) }
      switch transfer {
      case .bytes(let count):
        bytes = bytes.dropFirst(count)
        waits = 0
      case .wouldBlock where waits < 2: waits += 1
      default: return transfer
      }
    }
    return .bytes(0)
  }
}

/// A client and a server, joined in memory.
final class Pair {
  let toServer = Queue()
  let toClient = Queue()
  let client: Side
  let server: Side

  init(
    _ client: TLSContext, _ server: TLSContext, host: String = "server.test", ticket: TLSTicket? = nil
  ) throws {
    let ends = (client: End(toClient, toServer), server: End(toServer, toClient))
    self.client = Side(
      ends.client,
      try TLSSession(client: client, transport: ends.client.transport, host: host, resuming: ticket))
    self.server = Side(
      ends.server, try TLSSession(server: server, transport: ends.server.transport))
  }

  func setPieces(_ byteCount: Int) {
    toServer.pieceBytes = byteCount
    toClient.pieceBytes = byteCount
  }

  /// Both sides in turn until each is done or failed, or neither gets on. A client that is done first takes
  /// the ticket, without which a server may have no room for it.
  @discardableResult
  func handshake() -> (client: TLSHandshake, server: TLSHandshake) {
    var states = (client: TLSHandshake.wantsRead, server: TLSHandshake.wantsRead)
    var idleRounds = 0
    while idleRounds < 4, !(states.client.isOver && states.server.isOver) {
      let before = toServer.movedBytes + toClient.movedBytes
      if !states.client.isOver { states.client = client.handshake() }
      if !states.server.isOver { states.server = server.handshake() }
      if states.client == .done, !states.server.isOver { _ = client.receive() }
      let after = toServer.movedBytes + toClient.movedBytes
      idleRounds = after == before ? idleRounds + 1 : 0
    }
    return states
  }
}

extension TLSHandshake {
  var isOver: Bool {
    switch self {
    case .done, .failed: true
    case .wantsRead, .wantsWrite: false
    }
  }
}
