import ApusEngine

/// Where a tensor's numbers lie in its message: in `raw_data`, as they are in memory, or in a field for their
/// kind, packed or each on its own.
struct ONNXTensorData {
  enum Source: UInt32, CaseIterable {
    case float = 4
    case int32 = 5
    case string = 6
    case int64 = 7
    case raw = 9
    case double = 10
    case uint64 = 11

    /// As in ONNX's schema.
    var name: String {
      switch self {
      case .float: "float_data"
      case .int32: "int32_data"
      case .string: "string_data"
      case .int64: "int64_data"
      case .raw: "raw_data"
      case .double: "double_data"
      case .uint64: "uint64_data"
      }
    }

    /// Of one number; `bytes` where the field holds no numbers.
    var wireType: ProtobufReader.WireType {
      switch self {
      case .float: .fixed32
      case .double: .fixed64
      case .int32, .int64, .uint64: .varint
      case .raw, .string: .bytes
      }
    }

    /// Where numbers of a type may be, other than in `raw_data`.
    init(for element: ElementType) {
      switch element {
      case .float32, .complex64: self = .float
      case .float64, .complex128: self = .double
      case .int64: self = .int64
      case .uint32, .uint64: self = .uint64
      default: self = .int32
      }
    }
  }

  /// nil: the message holds no numbers.
  private(set) var source: Source?
  /// Numbers in a field for them; bytes in `raw_data`.
  private(set) var count = 0
  /// The bytes as they are in memory, where they lie in one piece.
  private(set) var whole: FileBytes?
  private let message: FileBytes

  /// Walks a tensor's message and counts.
  ///
  /// - Throws: `GraphError` where numbers are in two fields, or not such as the field holds.
  init(in message: FileBytes) throws(GraphError) {
    self.message = message
    var reader = ProtobufReader(message)
    while let field = try Self.next(&reader) {
      guard let found = Source(rawValue: field.number) else { continue }
      let added = try Self.count(field, found)
      guard added > 0 else { continue }
      if let source {
        guard source == found, found != .raw else {
          throw GraphError("its numbers are in \(source.name) and again in \(found.name)")
        }
      }
      whole = source == nil && found.wireType != .varint ? field.content : nil
      source = found
      count += added
    }
  }

  private static func next(_ reader: inout ProtobufReader) throws(GraphError) -> ProtobufReader.Field? {
    do { return try reader.next() } catch { throw GraphError(error.rawValue) }
  }

  private static func count(_ field: ProtobufReader.Field, _ source: Source) throws(GraphError) -> Int {
    switch (source, field.wireType) {
    case (.raw, .bytes): return field.content.count
    case (.string, .bytes): return 1
    case (_, source.wireType): return 1
    case (_, .bytes):
      do { return try ProtobufReader.packedCount(field.content, source.wireType) } catch {
        throw GraphError("\(source.name): \(error.rawValue)")
      }
    default: throw GraphError("\(source.name) is of another type than ONNX's")
    }
  }

  /// Goes through the numbers of a field for them, as bits: those that are narrower in the lower ones.
  func forEach(_ body: (UInt64) throws(GraphError) -> Void) throws(GraphError) {
    guard let source else { return }
    var reader = ProtobufReader(message)
    // A number on its own has the same bytes as one that is packed.
    while let field = try Self.next(&reader) {
      guard field.number == source.rawValue else { continue }
      try Self.forEach(in: field.content, source.wireType, body)
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
