import ApusBase
import ApusClient

/// Where the inputs of one connection's calls lie: in memory of its own, or in a region that the server looks
/// into.
///
/// Invariant of the unsafe code here: `bytes` is the memory of the one of the two that there is.
struct LoadMemory: ~Copyable {
  let bytes: UnsafeMutableRawBufferPointer
  let region: TensorRegion?
  private let own: AlignedBuffer

  init(_ input: LoadInput, usesRegion: Bool) throws(ClientError) {
    let byteCount = input.calls * input.strideBytes
    region = usesRegion ? try TensorRegion(number: 1, byteCount: byteCount) : nil
    own = AlignedBuffer(byteCount: usesRegion ? 0 : byteCount)
    bytes = region?.bytes ?? own.bytes
    input.write(to: bytes)
  }
}
