import COnnxProto
import Glibc

/// The memory in which protobuf-c decodes a message: what would take more than its limit is refused.
///
/// Invariant of the unsafe code here: `account` and `allocator` live as long as this value, and whatever was
/// decoded is given back before.
struct ProtobufMemory: ~Copyable {
  /// What is left, in bytes. Each piece has its size before it, so that it is counted when it is given back.
  private let account: UnsafeMutablePointer<Int>
  private let allocator: UnsafeMutablePointer<ProtobufCAllocator>

  fileprivate static let headerBytes = 16

  init(limit: Int) {
    account = .allocate(capacity: 1)
    account.initialize(to: limit)
    allocator = .allocate(capacity: 1)
    allocator.initialize(to: ProtobufCAllocator(alloc: take, free: giveBack, allocator_data: account))
  }

  deinit {
    allocator.deallocate()
    account.deallocate()
  }

  /// Decodes a message that a skeleton holds, for as long as `body` runs.
  ///
  /// - Throws: `malformed` where protobuf-c refuses it: it takes more memory than the limit.
  func withMessage<Message, Result>(
    _ skeleton: ProtobufSkeleton,
    _ unpack: (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?) -> UnsafeMutablePointer<
      Message
    >?,
    _ body: (Message) throws(FormatError) -> Result
  ) throws(FormatError) -> Result {
    let message = skeleton.bytes.withUnsafeBufferPointer { unpack(allocator, $0.count, $0.baseAddress) }
    guard let message else { throw .malformed("the model's structure takes too much memory to decode") }
    defer {
      message.withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) {
        protobuf_c_message_free_unpacked($0, allocator)
      }
    }
    return try body(message.pointee)
  }
}

private func take(_ account: UnsafeMutableRawPointer?, _ byteCount: Int) -> UnsafeMutableRawPointer? {
  guard let left = account?.assumingMemoryBound(to: Int.self), byteCount >= 0,
    byteCount <= left.pointee - ProtobufMemory.headerBytes,
    let piece = malloc(byteCount + ProtobufMemory.headerBytes)
  else { return nil }
  let size = byteCount + ProtobufMemory.headerBytes
  piece.storeBytes(of: size, as: Int.self)
  left.pointee -= size
  return piece + ProtobufMemory.headerBytes
}

private func giveBack(_ account: UnsafeMutableRawPointer?, _ memory: UnsafeMutableRawPointer?) {
  guard let left = account?.assumingMemoryBound(to: Int.self), let memory else { return }
  let piece = memory - ProtobufMemory.headerBytes
  left.pointee += piece.load(as: Int.self)
  free(piece)
}
