import ApusIO
import ApusLane
import ApusWire

/// Memory that a client shares with its server, for large tensors: numbers that are written here are computed
/// with where they lie. Nothing here may be written while a call that reads it is under way.
public final class TensorRegion {
  /// The region's memory, from a page's start.
  ///
  /// Invariant: valid for as long as the region.
  public let bytes: UnsafeMutableRawBufferPointer
  package let number: UInt32
  let descriptor: Descriptor
  private let memory: SharedMemory

  /// - Parameter number: the region's on its connection, 1 or more.
  package init(number: UInt32, byteCount: Int) throws(ClientError) {
    guard byteCount > 0 else { throw .invalidInput("a region holds at least one byte") }
    do throws(SystemError) {
      descriptor = try SharedMemory.make(byteCount: byteCount)
      memory = try SharedMemory(mapping: descriptor, byteCount: byteCount, isWritable: true)
    } catch { throw .connectionFailed(error.description) }
    self.number = number
    bytes = memory.bytes
  }

  /// Where bytes of the region begin in it.
  func offset(of part: UnsafeRawBufferPointer) -> Int {
    guard let start = part.baseAddress, let base = bytes.baseAddress else { return 0 }
    return start - UnsafeRawPointer(base)
  }
}

extension SynchronousClient {
  /// Makes memory for tensors that are not copied. The server looks into it from the first call that uses it.
  ///
  /// - Throws: `connectionFailed` where the system has no memory.
  public func makeRegion(byteCount: Int) throws(ClientError) -> TensorRegion {
    regionsMade += 1
    return try TensorRegion(number: regionsMade, byteCount: byteCount)
  }

  /// Classifies numbers of the call's element type that lie in a region, row-major and little-endian. Over a
  /// connection that is no lane they are sent.
  ///
  /// - Parameters:
  ///   - offset: where they begin, in bytes, a multiple of 64.
  ///   - byteCount: nil: all that is behind.
  /// - Throws: `ClientError`; `status` where the server takes no further region.
  public func classify(
    _ region: TensorRegion, offset: Int = 0, byteCount: Int? = nil, _ call: ClassifyCall,
    into result: inout ClassifyResult
  ) throws(ClientError) {
    let byteCount = byteCount ?? max(0, region.bytes.count - offset)
    guard offset >= 0, offset % 64 == 0, byteCount >= 0, offset <= region.bytes.count - byteCount else {
      throw .invalidInput(
        "\(byteCount) bytes at \(offset) do not lie in a region of \(region.bytes.count), on a multiple of 64"
      )
    }
    let bytes = UnsafeRawBufferPointer(rebasing: region.bytes[offset..<offset + byteCount])
    try classify(bytes, region, call, &result)
  }

  /// Ends the server's look into a region. The memory goes back with the region itself.
  public func release(_ region: TensorRegion) throws(ClientError) {
    guard isConnected, connection?.regions.contains(region.number) ?? false else { return }
    connection?.regions.removeAll { $0 == region.number }
    let request = UnregisterRegionRequest(region: region.number)
    try exchange(.unregisterRegion, 0, { request.encode(into: $0, arena: $1) }) { (_, _) throws(Status) in }
  }
}
