import ApusBase
import ApusServer
import ApusTLS
import Glibc
import NIOCore

/// TLS between a socket and HTTP: the same sessions as RPC's, moved by NIO's buffers instead of a descriptor.
/// It lives on its channel's event loop.
///
/// Invariant of the unsafe code here: the session's transport points to `buffers`, which this object owns and
/// frees after the session.
final class TLSHandler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Encrypted bytes on their way.
  private struct Buffers {
    var received = ByteBuffer()
    var toSend = ByteBuffer()
  }

  private let buffers: UnsafeMutablePointer<Buffers>
  private var session: TLSSession?
  private let handshake: Deadline
  private var isEstablished = false
  private var hasEnded = false
  /// What HTTP wrote before the handshake was done.
  private var waiting: [(ByteBuffer, EventLoopPromise<Void>?)] = []
  /// Whom the client's verified certificate names.
  private(set) var certificate: Caller?

  private static let recordBytes = 16 << 10

  init(_ context: TLSContext, _ limits: Limits) throws(TLSError) {
    handshake = Deadline(limits.handshakeTimeoutNanoseconds)
    buffers = .allocate(capacity: 1)
    buffers.initialize(to: Buffers())
    let transport = TLSTransport(
      context: buffers,
      receive: { context, bytes, count in
        guard let buffers = context?.assumingMemoryBound(to: Buffers.self), let bytes else {
          return -Int(EAGAIN)
        }
        let taken = min(count, buffers.pointee.received.readableBytes)
        guard taken > 0 else { return -Int(EAGAIN) }
        buffers.pointee.received.readWithUnsafeReadableBytes { source in
          if let base = source.baseAddress { bytes.copyMemory(from: base, byteCount: taken) }
          return taken
        }
        return taken
      },
      send: { context, bytes, count in
        guard let buffers = context?.assumingMemoryBound(to: Buffers.self), let bytes else {
          return -Int(EAGAIN)
        }
        return buffers.pointee.toSend.writeBytes(UnsafeRawBufferPointer(start: bytes, count: count))
      })
    session = try TLSSession(server: context, transport: transport)
  }

  deinit {
    session = nil
    buffers.deinitialize(count: 1)
    buffers.deallocate()
  }

  func handlerAdded(context: ChannelHandlerContext) { handshake.set(context.channel) }
  func handlerRemoved(context: ChannelHandlerContext) { handshake.end() }

  func channelInactive(context: ChannelHandlerContext) {
    handshake.end()
    for (_, promise) in waiting { promise?.fail(ChannelError.ioOnClosedChannel) }
    waiting = []
    context.fireChannelInactive()
  }

  // MARK: In

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    buffers.pointee.received.discardReadBytes()
    buffers.pointee.received.writeBuffer(&bytes)
    advance(context)
  }

  private func advance(_ context: ChannelHandlerContext) {
    if !isEstablished, !shakeHands(context) { return }
    while !hasEnded {
      var plain = context.channel.allocator.buffer(capacity: Self.recordBytes)
      var transfer = Transfer.end
      plain.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.recordBytes) { space in
        transfer = session?.receive(into: space) ?? .end
        if case .bytes(let count) = transfer { return count }
        return 0
      }
      send(context)
      switch transfer {
      case .bytes: context.fireChannelRead(wrapInboundOut(plain))
      case .wouldBlock: return
      case .end:
        hasEnded = true
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
      case .failed: return close(context)
      }
    }
  }

  /// - Returns: whether the handshake is done.
  private func shakeHands(_ context: ChannelHandlerContext) -> Bool {
    let state = session?.handshake() ?? .failed
    send(context)
    switch state {
    case .done: break
    case .wantsRead, .wantsWrite: return false
    case .failed:
      close(context)
      return false
    }
    isEstablished = true
    handshake.end()
    certificate = session?.peer.map { Caller($0) }
    for (bytes, promise) in waiting { encrypt(context, bytes, promise) }
    waiting = []
    context.flush()
    return true
  }

  /// The last alert goes out before the connection ends.
  private func close(_ context: ChannelHandlerContext) {
    hasEnded = true
    context.close(promise: nil)
  }

  // MARK: Out

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let bytes = unwrapOutboundIn(data)
    if isEstablished { encrypt(context, bytes, promise) } else { waiting.append((bytes, promise)) }
  }

  private func encrypt(
    _ context: ChannelHandlerContext, _ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?
  ) {
    var isBroken = false
    bytes.withUnsafeReadableBytes { bytes in
      var rest = UnsafeRawBufferPointer(rebasing: bytes[...])
      while !rest.isEmpty, !isBroken {
        if case .bytes(let count)? = session?.send(rest), count > 0 {
          rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        } else {
          isBroken = true
        }
      }
    }
    guard !isBroken else {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return
    }
    let encrypted = takeSent()
    context.write(wrapOutboundOut(encrypted), promise: promise)
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    if isEstablished, mode != .input, session != nil {
      session?.endSending()
      send(context)
    }
    context.close(mode: mode, promise: promise)
  }

  /// Sends what the session itself has to say.
  private func send(_ context: ChannelHandlerContext) {
    guard buffers.pointee.toSend.readableBytes > 0 else { return }
    context.writeAndFlush(wrapOutboundOut(takeSent()), promise: nil)
  }

  private func takeSent() -> ByteBuffer {
    let bytes = buffers.pointee.toSend
    buffers.pointee.toSend = ByteBuffer()
    return bytes
  }
}
