import ApusBase
import CApusProto

/// The memory in which one metadata is decoded or built: protobuf-c's allocations are cut off one after
/// another and all given back at once. What does not fit is refused, so no message can take more.
///
/// Invariant of the unsafe code here: `state` and the memory it names live as long as the arena; what was cut
/// off is used only until the next `reset`.
package struct MetadataArena: ~Copyable {
  fileprivate struct State {
    var memory: UnsafeMutableRawPointer
    var capacity: Int
    var used = 0
    var isExhausted = false
  }

  private let memory: AlignedBuffer
  private let state: UnsafeMutablePointer<State>
  let allocator: UnsafeMutablePointer<ProtobufCAllocator>

  package init(byteCount: Int) {
    memory = AlignedBuffer(byteCount: byteCount)
    state = .allocate(capacity: 1)
    state.initialize(to: State(memory: memory.baseAddress, capacity: byteCount))
    allocator = .allocate(capacity: 1)
    allocator.initialize(
      to: ProtobufCAllocator(alloc: allocateFromArena, free: { _, _ in }, allocator_data: state))
  }

  deinit {
    allocator.deallocate()
    state.deallocate()
  }

  /// Gives all memory back.
  package func reset() {
    state.pointee.used = 0
    state.pointee.isExhausted = false
  }

  /// Whether anything was refused since the last `reset`: a message built then is not whole.
  var isExhausted: Bool { state.pointee.isExhausted }

  /// Bytes aligned to 16, or nil when the arena is full.
  func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? { allocateFromArena(state, byteCount) }

  /// A C string in the arena: what protobuf-c takes for a `string` field. A string that does not fit becomes
  /// empty.
  func string(_ text: String) -> UnsafeMutablePointer<CChar> {
    var text = text
    return text.withUTF8 { bytes in
      guard let copy = allocate(bytes.count + 1) else { return emptyString }
      if let source = bytes.baseAddress { copy.copyMemory(from: source, byteCount: bytes.count) }
      copy.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
      return copy.assumingMemoryBound(to: CChar.self)
    }
  }

  /// A `bytes` field in the arena.
  func binary(_ bytes: [UInt8]) -> ProtobufCBinaryData {
    guard let copy = allocate(bytes.count) else { return ProtobufCBinaryData(len: 0, data: nil) }
    bytes.withUnsafeBytes { source in
      if let start = source.baseAddress { copy.copyMemory(from: start, byteCount: source.count) }
    }
    return ProtobufCBinaryData(len: bytes.count, data: copy.assumingMemoryBound(to: UInt8.self))
  }

  /// An initialised message in the arena, or nil when it is full.
  func make<Message>(
    _ initialise: (UnsafeMutablePointer<Message>) -> Void
  ) -> UnsafeMutablePointer<Message>? {
    guard let place = allocate(MemoryLayout<Message>.size) else { return nil }
    let message = place.bindMemory(to: Message.self, capacity: 1)
    initialise(message)
    return message
  }

  /// An array of so many pointers to messages, as protobuf-c wants repeated fields.
  func pointers<Message>(_ count: Int) -> UnsafeMutablePointer<UnsafeMutablePointer<Message>?>? {
    allocate(count * MemoryLayout<UnsafeMutablePointer<Message>?>.stride)?
      .bindMemory(to: UnsafeMutablePointer<Message>?.self, capacity: count)
  }

  /// Numbers copied into the arena.
  func numbers<Number: BitwiseCopyable>(_ values: [Number]) -> UnsafeMutablePointer<Number>? {
    guard let place = allocate(values.count * MemoryLayout<Number>.stride) else { return nil }
    let copy = place.bindMemory(to: Number.self, capacity: values.count)
    for (index, value) in values.enumerated() { copy[index] = value }
    return copy
  }
}

/// What protobuf-c compares an unset string with; never written.
private var emptyString: UnsafeMutablePointer<CChar> {
  UnsafeMutablePointer(mutating: protobuf_c_empty_string_address())
}

private func allocateFromArena(
  _ data: UnsafeMutableRawPointer?, _ byteCount: Int
) -> UnsafeMutableRawPointer? {
  guard let state = data?.assumingMemoryBound(to: MetadataArena.State.self), byteCount >= 0 else {
    return nil
  }
  let start = state.pointee.used
  guard byteCount <= state.pointee.capacity - start else {
    state.pointee.isExhausted = true
    return nil
  }
  state.pointee.used = min(state.pointee.capacity, (start + byteCount + 15) & ~15)
  return state.pointee.memory + start
}
