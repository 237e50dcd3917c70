/// What a frame is; the numbers are those on the wire.
public enum FrameKind: UInt8, Sendable {
  /// Fills the end of a shared-memory ring; refused on a socket.
  case skip = 0
  case request = 1
  case answer = 2
  case cancel = 3
  case goaway = 4
}

/// The header's flag bits.
public struct FrameFlags: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// A part lies in a shared region.
  @inlinable public static var sharedRegion: Self { Self(rawValue: 1) }
  /// The metadata is a `Status`.
  @inlinable public static var status: Self { Self(rawValue: 2) }
  /// More answers to the same request follow.
  @inlinable public static var more: Self { Self(rawValue: 4) }
}

/// What a request asks for; the numbers are those of `apus.v1.Method`.
package enum Method: UInt16, Sendable {
  case hello = 0
  case openLane = 0x0001
  case registerRegion = 0x0002
  case unregisterRegion = 0x0003
  case classify = 0x0101
  case health = 0x0102
  case stats = 0x0103
  case listModels = 0x0104
  case getModel = 0x0105
  case watchHealth = 0x0106
  case beginPublish = 0x0201
  case upload = 0x0202
  case commitPublish = 0x0203
  case abortPublish = 0x0204
  case withdraw = 0x0205
  case rollback = 0x0206
  case load = 0x0207
  case unload = 0x0208
  case verify = 0x0209
  case deprecate = 0x020A
  case setAlias = 0x020B
  case setTraffic = 0x020C
  case history = 0x020D

  /// Whether a method is the administration service's, known or not.
  package static func isAdministration(_ number: UInt16) -> Bool { number >> 8 == 2 }
}

/// The first 32 bytes of a frame, little-endian: magic `APUS` (4), protocol version (1), kind (1), method
/// (2), request id (8), metadata length (4), flags (4), body length (8). Bytes 0 to 15 mean the same in every
/// version.
public struct FrameHeader: Equatable, Sendable {
  @inlinable public static var byteCount: Int { 32 }
  /// `APUS` read as a little-endian number.
  @inlinable public static var magic: UInt32 { 0x5355_5041 }
  /// The one version that this code speaks.
  @inlinable public static var protocolVersion: UInt8 { 1 }

  public var version: UInt8
  public var kind: UInt8
  public var method: UInt16
  public var requestID: UInt64
  public var metadataBytes: UInt32
  public var flags: UInt32
  public var bodyBytes: UInt64

  @inlinable public init(
    kind: FrameKind, method: UInt16, requestID: UInt64, metadataBytes: Int = 0, flags: FrameFlags = [],
    bodyBytes: Int = 0
  ) {
    version = Self.protocolVersion
    self.kind = kind.rawValue
    self.method = method
    self.requestID = requestID
    self.metadataBytes = UInt32(metadataBytes)
    self.flags = flags.rawValue
    self.bodyBytes = UInt64(bodyBytes)
  }

  /// Reads a header whose magic has been checked. `bytes` holds at least 32.
  @inlinable public init(reading bytes: UnsafeRawPointer) {
    version = bytes.load(fromByteOffset: 4, as: UInt8.self)
    kind = bytes.load(fromByteOffset: 5, as: UInt8.self)
    method = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
    requestID = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    metadataBytes = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
    flags = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self))
    bodyBytes = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
  }

  /// Writes the 32 bytes.
  @inlinable public func write(to bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: Self.magic.littleEndian, as: UInt32.self)
    bytes.storeBytes(of: version, toByteOffset: 4, as: UInt8.self)
    bytes.storeBytes(of: kind, toByteOffset: 5, as: UInt8.self)
    bytes.storeBytes(of: method.littleEndian, toByteOffset: 6, as: UInt16.self)
    bytes.storeBytes(of: requestID.littleEndian, toByteOffset: 8, as: UInt64.self)
    bytes.storeBytes(of: metadataBytes.littleEndian, toByteOffset: 16, as: UInt32.self)
    bytes.storeBytes(of: flags.littleEndian, toByteOffset: 20, as: UInt32.self)
    bytes.storeBytes(of: bodyBytes.littleEndian, toByteOffset: 24, as: UInt64.self)
  }
}

/// Where the pieces of a frame lie, in bytes from its start: the body begins and the frame ends on a multiple
/// of 64.
public struct FrameLayout: Equatable, Sendable {
  public let metadataBytes: Int
  public let bodyBytes: Int

  @inlinable public init(metadataBytes: Int, bodyBytes: Int) {
    self.metadataBytes = metadataBytes
    self.bodyBytes = bodyBytes
  }

  @inlinable public var bodyOffset: Int { (FrameHeader.byteCount + metadataBytes + 63) & ~63 }
  @inlinable public var frameBytes: Int { (bodyOffset + bodyBytes + 63) & ~63 }
}
