/// STUB
package struct AnswerTail {
  package static let encodedBytes = 5 + TimeAccount.encodedBytes
  package static func write(load: Float, _ account: TimeAccount, to bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: 0x4D, as: UInt8.self)
    bytes.storeBytes(of: load.bitPattern.littleEndian, toByteOffset: 1, as: UInt32.self)
    account.write(to: bytes + 5)
  }
}
