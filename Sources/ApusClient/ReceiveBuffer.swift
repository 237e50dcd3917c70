import ApusBase

/// The bytes that have been received and not given back, from the start of a frame: in a ring, or, for a
/// frame that is larger than the ring, in memory of its own.
struct ReceiveBuffer: ~Copyable {
  private var ring: MirroredRing
  private var large: AlignedBuffer?
  private var largeFrameBytes = 0
  private var largeCount = 0

  /// - Returns: nil when the kernel gives no memory.
  init?(ringBytes: Int) {
    guard let ring = MirroredRing(capacity: ringBytes) else { return nil }
    self.ring = ring
  }

  /// Whether the frame at the front has memory of its own.
  var isLarge: Bool { largeFrameBytes > 0 }

  private var largeStart: UnsafeMutableRawPointer? {
    switch large {
    case .some(let buffer): buffer.baseAddress
    case .none: nil
    }
  }

  /// Valid until the next `consume`, or `received`.
  var readable: UnsafeRawBufferPointer {
    isLarge
      ? UnsafeRawBufferPointer(start: largeStart, count: largeCount) : UnsafeRawBufferPointer(ring.readable)
  }

  var writable: UnsafeMutableRawBufferPointer {
    guard isLarge, let start = largeStart else { return ring.writable }
    return UnsafeMutableRawBufferPointer(start: start + largeCount, count: largeFrameBytes - largeCount)
  }

  mutating func received(_ byteCount: Int) {
    if isLarge {
      precondition(byteCount >= 0 && byteCount <= largeFrameBytes - largeCount)
      largeCount += byteCount
    } else {
      ring.received(byteCount)
    }
  }

  /// Says how long the frame at the front will be. The caller has held its lengths against their limits.
  mutating func expect(frameBytes: Int) {
    guard !isLarge, frameBytes > ring.capacity else { return }
    let memory = AlignedBuffer(byteCount: frameBytes)
    largeCount = ring.count
    memory.bytes.copyMemory(from: UnsafeRawBufferPointer(ring.readable))
    ring.consume(largeCount)
    large = consume memory
    largeFrameBytes = frameBytes
  }

  /// Gives the frame at the front back.
  mutating func consume(_ frameBytes: Int) {
    if isLarge {
      large = nil
      (largeFrameBytes, largeCount) = (0, 0)
    } else {
      ring.consume(frameBytes)
    }
  }
}
