import ApusEngine

/// Where a tensor's numbers lie in its message: in a field of bytes, as they are in memory, or in a field for
/// their kind, packed or each on its own.
struct ProtobufNumbers {
  /// A field that may hold a tensor's numbers.
  struct Field: Equatable, Sendable {
    enum Kind: Equatable, Sendable {
      /// As they are in memory.
      case bytes
      case texts
      case numbers(ProtobufReader.WireType)
    }

    let number: UInt32
    /// As in the schema.
    let name: String
    let kind: Kind

    init(_ number: UInt32, _ name: String, _ kind: Kind) {
      self.number = number
      self.name = name
      self.kind = kind
    }
  }

  /// nil: the message holds no numbers.
  private(set) var source: Field?
  /// Numbers in a field for them; bytes in one of bytes.
  private(set) var count = 0
  /// The bytes as they are in memory, where they lie in one piece.
  private(set) var whole: FileBytes?
  private let message: FileBytes

  /// Walks a tensor's message and counts.
  ///
  /// - Parameters:
  ///   - fields: those that may hold numbers.
  ///   - format: whose schema it is, for messages.
  /// - Throws: `GraphError` where numbers are in two fields, or not such as the field holds.
  init(in message: FileBytes, fields: [Field], of format: String) throws(GraphError) {
    self.message = message
    var reader = ProtobufReader(message)
    while let field = try Self.next(&reader) {
      guard let found = fields.first(where: { $0.number == field.number }) else { continue }
      let added = try Self.count(field, found, format)
      guard added > 0 else { continue }
      if let source {
        guard source == found, found.kind != .bytes else {
          throw GraphError("its numbers are in \(source.name) and again in \(found.name)")
        }
      }
      whole = source == nil && found.kind != .numbers(.varint) ? field.content : nil
      source = found
      count += added
    }
  }

  private static func next(_ reader: inout ProtobufReader) throws(GraphError) -> ProtobufReader.Field? {
    do { return try reader.next() } catch { throw GraphError(error.rawValue) }
  }

  private static func count(
    _ field: ProtobufReader.Field, _ source: Field, _ format: String
  ) throws(GraphError) -> Int {
    switch (source.kind, field.wireType) {
    case (.bytes, .bytes): return field.content.count
    case (.texts, .bytes): return 1
    case (.numbers(let wireType), field.wireType) where wireType == field.wireType: return 1
    case (.numbers(let wireType), .bytes):
      do { return try ProtobufReader.packedCount(field.content, wireType) } catch {
        throw GraphError("\(source.name): \(error.rawValue)")
      }
    default: throw GraphError("\(source.name) is of another type than \(format)'s")
    }
  }

  /// Goes through the numbers of a field for them, as bits: those that are narrower in the lower ones.
  func forEach(_ body: (UInt64) throws(GraphError) -> Void) throws(GraphError) {
    guard let source, case .numbers(let wireType) = source.kind else { return }
    var reader = ProtobufReader(message)
    // A number on its own has the same bytes as one that is packed.
    while let field = try Self.next(&reader) {
      guard field.number == source.number else { continue }
      try Self.forEach(in: field.content, wireType, body)
    }
  }

  private static func forEach(
    in packed: FileBytes, _ wireType: ProtobufReader.WireType, _ body: (UInt64) throws(GraphError) -> Void
  ) throws(GraphError) {
    switch wireType {
    case .fixed32:
      for place in stride(from: 0, to: packed.count, by: 4) {
        if let number = packed.integer(at: place, as: UInt32.self) { try body(UInt64(number)) }
      }
    case .fixed64:
      for place in stride(from: 0, to: packed.count, by: 8) {
        if let number = packed.integer(at: place, as: UInt64.self) { try body(number) }
      }
    case .varint:
      var reader = ProtobufReader(packed)
      while !reader.isAtEnd {
        let number: UInt64
        do throws(ProtobufProblem) { number = try reader.varint() } catch { throw GraphError(error.rawValue) }
        try body(number)
      }
    case .bytes: break
    }
  }
}

extension ProtobufNumbers {
  /// Writes the numbers of a field for them.
  ///
  /// - Precondition: as many elements as there are numbers.
  /// - Throws: `GraphError` for one that is beyond its type.
  func fill(_ target: MutableTensorView) throws(GraphError) {
    switch target.type.element {
    case .float32: try fill(target.elements()) { Float(bitPattern: UInt32(truncatingIfNeeded: $0)) }
    case .float64: try fill(target.elements()) { Double(bitPattern: $0) }
    case .int64: try fill(target.elements()) { Int64(bitPattern: $0) }
    case .uint64: try fill(target.elements()) { $0 }
    case .uint32: try fill(target.elements()) { UInt32(exactly: $0) }
    case .int32: try fill(target.elements()) { Self.int32($0) }
    case .int16: try fill(target.elements()) { Int16(exactly: Self.int32($0)) }
    case .int8: try fill(target.elements()) { Int8(exactly: Self.int32($0)) }
    case .uint16: try fill(target.elements()) { UInt16(exactly: Self.int32($0)) }
    case .uint8: try fill(target.elements()) { UInt8(exactly: Self.int32($0)) }
    case .bool: try fill(target.elements()) { TensorBool($0 != 0) }
    case .float16, .bfloat16:
      let bits = UnsafeMutableBufferPointer(
        start: target.start.assumingMemoryBound(to: UInt16.self), count: target.type.count)
      try fill(bits) { UInt16(exactly: Self.int32($0)) }
    case .complex64, .complex128, .float8e4m3, .float8e5m2: throw GraphError("its type is not computed with")
    }
  }

  /// As protobuf reads an int32: its lower 32 bits.
  private static func int32(_ bits: UInt64) -> Int32 { Int32(truncatingIfNeeded: bits) }

  /// - Precondition: as many elements as there are numbers.
  private func fill<Element>(
    _ target: UnsafeMutableBufferPointer<Element>, _ element: (UInt64) -> Element?
  ) throws(GraphError) {
    var index = 0
    try forEach { (bits) throws(GraphError) in
      guard let value = element(bits) else {
        throw GraphError("its number \(index), \(Int64(bitPattern: bits)), is beyond its type")
      }
      target[index] = value
      index += 1
    }
  }
}

extension Tensor {
  /// Elements that stay in a file where they are aligned there, and are copied where they are not.
  ///
  /// - Precondition: as many bytes as the type takes; none or nil for a tensor without elements.
  convenience init(
    _ type: TensorType, copyingIfNeeded bytes: UnsafeRawBufferPointer?, _ owner: any AnyObject & Sendable
  ) {
    guard let bytes, let start = bytes.baseAddress else {
      self.init(type)
      return
    }
    guard Int(bitPattern: start) % type.element.byteCount != 0 else {
      self.init(type, in: bytes, keeping: owner)
      return
    }
    self.init(type)
    self.start.copyMemory(from: start, byteCount: bytes.count)
    (owner as? any ForgetfulOwner)?.forget(bytes)
  }
}
