import ApusBase
import ApusIO
import ApusWire
import Foundation
import Glibc
import Synchronization

/// What a fake server does about a frame, step by step.
enum Step: Sendable {
  case send([UInt8])
  /// One byte in each system call.
  case sendByteByByte([UInt8])
  case close
}

/// A frame as the fake server read it.
struct ReceivedFrame: Sendable {
  let header: FrameHeader
  let metadata: [UInt8]
  let body: [UInt8]
  /// 0 for the first connection.
  let connection: Int
}

/// A server over a Unix socket that answers as a test says. It serves one connection after another. Hello
/// frames are kept apart from the others, and not answered unless the test says how.
final class FakeServer: Sendable {
  let path: String
  private let shared: Shared
  private let thread: Locked<ApusIO.Thread?>

  private final class Shared: Sendable {
    let frames = Locked<[ReceivedFrame]>([])
    let hellos = Locked<[ReceivedFrame]>([])
    let isStopped = Atomic<Bool>(false)
    let hello: @Sendable (ReceivedFrame) -> [Step]
    let behaviour: @Sendable (ReceivedFrame) -> [Step]

    init(
      _ hello: @escaping @Sendable (ReceivedFrame) -> [Step],
      _ behaviour: @escaping @Sendable (ReceivedFrame) -> [Step]
    ) {
      self.hello = hello
      self.behaviour = behaviour
    }

    func steps(_ frame: ReceivedFrame) -> [Step] {
      guard frame.header.method == Method.hello.rawValue else {
        frames.withLock { $0.append(frame) }
        return behaviour(frame)
      }
      hellos.withLock { $0.append(frame) }
      return hello(frame)
    }
  }

  var address: String { "unix:\(path)" }
  var frames: [ReceivedFrame] { shared.frames.withLock { $0 } }
  var hellos: [ReceivedFrame] { shared.hellos.withLock { $0 } }

  init(
    hello: @escaping @Sendable (ReceivedFrame) -> [Step] = { _ in [] },
    _ behaviour: @escaping @Sendable (ReceivedFrame) -> [Step]
  ) throws {
    path = NSTemporaryDirectory() + "apus-\(UUID().uuidString.prefix(8)).sock"
    let shared = Shared(hello, behaviour)
    self.shared = shared
    let listener = try Listener(.unix(path: path))
    let number = dup(listener.descriptor.number)
    let keeper = ListenerKeeper(listener)
    thread = Locked(
      try ApusIO.Thread(name: "fake-server") {
        defer { Glibc.close(number) }
        Self.serve(keeper, number, shared)
      })
  }

  deinit {
    shared.isStopped.store(true, ordering: .relaxed)
    if let thread = thread.withLock({ $0.take() }) { thread.join() }
  }

  private final class ListenerKeeper: Sendable {
    let listener: Listener
    init(_ listener: consuming Listener) { self.listener = listener }
  }

  private static func serve(_ keeper: ListenerKeeper, _ number: Int32, _ shared: Shared) {
    var connections = 0
    while !shared.isStopped.load(ordering: .relaxed) {
      var entry = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, 5) > 0, let connection = keeper.listener.accept() else { continue }
      serve(connection, connections, shared)
      connections += 1
    }
  }

  private static func serve(_ connection: borrowing Descriptor, _ index: Int, _ shared: Shared) {
    let decoder = FrameDecoder(reader: .server, limits: Limits())
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while !shared.isStopped.load(ordering: .relaxed) {
      while let frame = next(decoder, &bytes, index) {
        for step in shared.steps(frame) {
          switch step {
          case .send(let bytes): write(bytes, connection)
          case .sendByteByByte(let bytes): for byte in bytes { write([byte], connection) }
          case .close: return
          }
        }
      }
      var entry = pollfd(fd: connection.number, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, 5) > 0 else { continue }
      let count = recv(connection.number, &chunk, chunk.count, 0)
      if count <= 0 { return }
      bytes += chunk[..<count]
    }
  }

  private static func next(_ decoder: FrameDecoder, _ bytes: inout [UInt8], _ index: Int) -> ReceivedFrame? {
    let frame: ReceivedFrame? = bytes.withUnsafeBytes { raw in
      guard case .frame(let frame) = decoder.next(raw) else { return nil }
      let layout = frame.layout
      return ReceivedFrame(
        header: frame.header, metadata: Array(raw[32..<32 + layout.metadataBytes]),
        body: Array(raw[layout.bodyOffset..<layout.bodyOffset + layout.bodyBytes]), connection: index)
    }
    guard let frame else { return nil }
    let layout = FrameLayout(metadataBytes: frame.metadata.count, bodyBytes: frame.body.count)
    bytes.removeFirst(layout.frameBytes)
    return frame
  }

  private static func write(_ bytes: [UInt8], _ connection: borrowing Descriptor) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(connection.number, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { return }
      sent += count
    }
  }
}

/// A Unix socket whose queue is full: connecting to it blocks.
final class BusyServer: Sendable {
  let path: String
  private let numbers: [Int32]

  var address: String { "unix:\(path)" }

  init() throws {
    path = NSTemporaryDirectory() + "apus-\(UUID().uuidString.prefix(8)).sock"
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { [path] in $0.copyBytes(from: path.utf8) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    var numbers = [socket(AF_UNIX, type, 0)]
    withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        _ = bind(numbers[0], pointer, size)
        listen(numbers[0], 0)
        repeat { numbers.append(socket(AF_UNIX, type, 0)) } while connect(numbers.last!, pointer, size) == 0
      }
    }
    self.numbers = numbers
  }

  deinit {
    for number in numbers { close(number) }
    unlink(path)
  }
}

/// A whole frame.
func frame(
  _ kind: FrameKind, _ method: Method, id: UInt64, flags: FrameFlags = [], metadata: [UInt8],
  body: [UInt8] = []
) -> [UInt8] {
  let layout = FrameLayout(metadataBytes: metadata.count, bodyBytes: body.count)
  var bytes = [UInt8](repeating: 0, count: layout.frameBytes)
  bytes.withUnsafeMutableBytes {
    FrameHeader(
      kind: kind, method: method.rawValue, requestID: id, metadataBytes: metadata.count, flags: flags,
      bodyBytes: body.count
    ).write(to: $0.baseAddress!)
  }
  bytes.replaceSubrange(32..<32 + metadata.count, with: metadata)
  bytes.replaceSubrange(layout.bodyOffset..<layout.bodyOffset + body.count, with: body)
  return bytes
}

/// Metadata as an encoder of ApusWire makes it.
func encoded(_ encode: (UnsafeMutableRawBufferPointer, borrowing MetadataArena) -> Int) -> [UInt8] {
  let arena = MetadataArena(byteCount: 65_536)
  var output = [UInt8](repeating: 0, count: 65_536)
  let count = output.withUnsafeMutableBytes { encode($0, arena) }
  return Array(output[..<count])
}

func statusFrame(id: UInt64, _ status: Status) -> [UInt8] {
  frame(.answer, .classify, id: id, flags: .status, metadata: encoded { status.encode(into: $0, arena: $1) })
}

/// The answer to a Classify call: `classes` probabilities that begin with the call's first number, so that a
/// test sees whether the answer belongs to its call. Without a load it is as of a server that tells none.
func classifyFrame(
  _ request: ReceivedFrame, classes: Int = 3, withIndices: Bool = false, load: Float? = 0.25,
  time: UInt64 = 7
) -> [UInt8] {
  let form = AnswerForm(
    rows: 1, classes: classes, allClasses: classes, hasIndices: withIndices, hasScores: false, version: 5)
  var metadata = encoded {
    encodeClassifyAnswer(form, labels: .init(start: nil, count: 0), digest: [], into: $0, arena: $1) ?? 0
  }
  var account = TimeAccount()
  account.total = time
  account.batchRows = 1
  var tail = [UInt8](repeating: 0, count: AnswerTail.encodedBytes)
  tail.withUnsafeMutableBytes { AnswerTail.write(load: load ?? 0, account, to: $0.baseAddress!) }
  metadata += load == nil ? tail.suffix(TimeAccount.encodedBytes) : tail[...]
  let first = request.body.withUnsafeBytes { $0.loadUnaligned(as: Float.self) }
  var body = [UInt8](repeating: 0, count: form.bodyBytes)
  body.withUnsafeMutableBytes { raw in
    for index in 0..<classes {
      raw.storeBytes(of: first + Float(index), toByteOffset: index * 4, as: Float.self)
      guard withIndices else { continue }
      raw.storeBytes(
        of: UInt32(classes - 1 - index), toByteOffset: form.indicesOffset + index * 4, as: UInt32.self)
    }
  }
  return frame(.answer, .classify, id: request.header.requestID, metadata: metadata, body: body)
}

let notProcessed = Status(.unavailable, "NOT_PROCESSED", "the server is closing; try another connection")

func goAwayFrame() -> [UInt8] {
  let goAway = GoAway(reason: "restarting", graceNanoseconds: 0)
  return frame(.goaway, .hello, id: 0, metadata: encoded { goAway.encode(into: $0, arena: $1) })
}
