/// The input of a call that is on its way, as its caller gave it: arrays are not copied to be kept.
enum CallInput: Sendable {
  case bytes([UInt8])
  case floats([Float])

  var byteCount: Int {
    switch self {
    case .bytes(let bytes): bytes.count
    case .floats(let floats): 4 * floats.count
    }
  }

  /// Invariant that callers rely on: what `body` gets stays where it is for as long as a copy of this value
  /// is kept, as nobody changes the array and its elements are stored one behind another.
  func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) {
    switch self {
    case .bytes(let bytes): bytes.withUnsafeBytes(body)
    case .floats(let floats): floats.withUnsafeBytes(body)
    }
  }
}
