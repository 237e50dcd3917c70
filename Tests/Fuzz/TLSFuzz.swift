import ApusBase
import ApusTLS
import TestCertificates

/// What a hostile client may send to a server's session. The first byte says how the two sides are and what
/// the rest is:
///
/// - bit 0: TLS 1.2 is allowed and, with a real client, spoken; otherwise 1.3.
/// - bit 1: the server requires a client's certificate.
/// - bits 2 and 3: 0 and 1: the rest is all that the client sends. 2: the rest changes what a real client
///   sends in its handshake. 3: it changes a real client's records after the handshake.
///
/// Nothing but a failure that is told in one line may come of it, and no byte that the client did not send.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  guard size > 0 else { return 0 }
  let rest = UnsafeRawBufferPointer(start: data + 1, count: size - 1)
  let sides = sides[Int(data[0] & 3)]
  switch data[0] >> 2 & 3 {
  case 2: changeHandshake(sides, Changes(rest))
  case 3: changeRecords(sides, Changes(rest))
  default: sendAsClient(sides, Array(rest))
  }
  return 0
}

/// The contexts for bits 0 and 1.
private let sides: [(client: TLSContext, server: TLSContext)] = (0..<4).map { kind in
  unwrap {
    let isMutual = kind & 2 != 0
    let client = try clientContext(identity: isMutual ? Fixture.client : nil)
    limit(client, to: kind & 1 != 0 ? .v12 : .v13)
    let server = try serverContext(
      clientAuthorities: isMutual ? Fixture.authority.pem : nil, minimumVersion: kind & 1 != 0 ? .v12 : .v13)
    return (client, server)
  }
}

private func unwrap<Value: ~Copyable>(_ body: () throws -> Value) -> Value {
  do { return try body() } catch { fatalError("\(error)") }
}

private func check(_ side: Side) {
  guard let failure = side.failure else { return }
  precondition(!failure.isEmpty && !failure.contains("\n"), "a failure of one line")
}

// MARK: Everything from the input

/// The bytes come at once and in pieces whose sizes they say themselves, which must end alike.
private func sendAsClient(_ sides: (client: TLSContext, server: TLSContext), _ bytes: [UInt8]) {
  let whole = serve(sides.server, bytes) { _ in bytes.count }
  let pieces = serve(sides.server, bytes) { arrived in 1 + Int(bytes[arrived] & 0x3F) }
  precondition(whole == pieces, "the same end whatever way the bytes are cut")
}

/// - Returns: how the handshake stands after the bytes and an end.
private func serve(_ context: TLSContext, _ bytes: [UInt8], _ step: (Int) -> Int) -> TLSHandshake {
  let end = End(Queue(), Queue())
  let server = Side(end, unwrap { try TLSSession(server: context, transport: end.transport) })
  var arrived = 0
  var state = server.handshake()
  precondition(state == .wantsRead, "a server speaks second")
  while arrived < bytes.count, state == .wantsRead {
    let count = min(step(arrived), bytes.count - arrived)
    end.incoming.bytes += bytes[arrived..<(arrived + count)]
    arrived += count
    state = server.handshake()
    precondition(state != .done, "a client that does not know what the server chose gets nowhere")
  }
  end.incoming.isEnded = true
  precondition(server.handshake() == .failed && server.failure != nil, "an end is a failure")
  check(server)
  return state
}

// MARK: A real client's bytes, changed

/// Reads from the input how bytes are changed and cut.
private struct Changes {
  private var rest: UnsafeRawBufferPointer.SubSequence

  init(_ bytes: UnsafeRawBufferPointer) { rest = bytes[...] }

  var isEmpty: Bool { rest.isEmpty }

  mutating func byte() -> Int { rest.popFirst().map(Int.init) ?? 0 }

  /// A number below `bound`, which is at least 1.
  mutating func number(_ bound: Int) -> Int { (byte() << 8 | byte()) % bound }

  /// Applies so many changes as the next byte says.
  /// - Returns: whether the bytes are others now.
  mutating func apply(to bytes: inout [UInt8]) -> Bool {
    let before = bytes
    for _ in 0..<(byte() & 7) where !bytes.isEmpty {
      let place = number(bytes.count)
      let end = min(bytes.count, place + 1 + byte())
      switch byte() & 7 {
      case 0: bytes[place] ^= UInt8(truncatingIfNeeded: 1 << (byte() & 7))
      case 1: bytes[place] = UInt8(truncatingIfNeeded: byte())
      case 2: bytes.insert(UInt8(truncatingIfNeeded: byte()), at: place)
      case 3: bytes.removeSubrange(place..<end)
      case 4: bytes.insert(contentsOf: bytes[place..<end], at: end)
      case 5: bytes.removeLast(bytes.count - place)
      case 6: bytes = Array(bytes[place...] + bytes[..<place])
      default: bytes.insert(contentsOf: [21, 3, 3, 0, 2, UInt8(byte() & 3), UInt8(byte())], at: place)
      }
    }
    return bytes != before
  }
}

private func changeHandshake(_ sides: (client: TLSContext, server: TLSContext), _ changes: Changes) {
  var changes = changes
  let pair = unwrap { try Pair(sides.client, sides.server) }
  var isChanged = false
  var states = (client: TLSHandshake.wantsRead, server: TLSHandshake.wantsRead)
  for _ in 0..<4 {
    if !states.client.isOver { states.client = pair.client.handshake() }
    if !changes.isEmpty, pair.toServer.count > 0 {
      if changes.apply(to: &pair.toServer.bytes) { isChanged = true }
      pair.toServer.pieceBytes = 1 + changes.byte() * 4
    }
    if !states.server.isOver { states.server = pair.server.handshake() }
  }
  precondition(isChanged || states == (.done, .done), "a handshake that nobody changes is done")
  if states.server == .done {
    let arrived = pair.server.receiveAll()
    precondition(arrived.bytes.isEmpty, "nothing arrives that was not sent")
  }
  pair.toServer.isEnded = true
  _ = pair.server.handshake()
  check(pair.server)
  check(pair.client)
}

private func changeRecords(_ sides: (client: TLSContext, server: TLSContext), _ changes: Changes) {
  var changes = changes
  let pair = unwrap { try Pair(sides.client, sides.server) }
  let states = pair.handshake()
  precondition(states == (.done, .done), "a handshake that nobody changes is done")
  var sent: [UInt8] = []
  var arrived: [UInt8] = []
  var isChanged = false
  for _ in 0..<8 where !changes.isEmpty {
    for _ in 0..<(changes.byte() & 3) {
      let message = pattern(1 + changes.number(20_000), seed: UInt64(sent.count))
      var left = message[...]
      precondition(pair.client.sendAll(&left) == .bytes(0), "a free transport takes everything")
      sent += message
    }
    let isClosing = changes.byte() & 15 == 15
    if isClosing { pair.client.endSending() }
    if changes.apply(to: &pair.toServer.bytes) { isChanged = true }
    pair.toServer.pieceBytes = 1 + changes.number(70_000)
    let new = pair.server.receiveAll(1 + changes.number(70_000))
    arrived += new.bytes
    precondition(arrived.count <= sent.count && arrived[...] == sent[..<arrived.count], "only what was sent")
    precondition(isChanged || arrived.count == sent.count, "all that was sent")
    precondition(isChanged || new.last == (isClosing ? .end : .wouldBlock), "an end when there is one")
    if case .bytes = pair.server.send([1, 2, 3]) {
      precondition(pair.client.receiveAll().bytes == [1, 2, 3], "the other direction goes on")
    }
    if isClosing || new.last != .wouldBlock || pair.client.failure != nil { break }
  }
  check(pair.server)
  check(pair.client)
}
