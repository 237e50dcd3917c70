import COnnxProto

/// A copy of a protobuf message with what its description names and nothing else: what protobuf-c is given.
///
/// protobuf-c copies all that it meets, known or not, follows nesting as deep as it goes and says only that
/// something is wrong. So the file is walked first, along the description: numbers of tensors and other
/// fields without a name there stay behind, which also bounds the depth; each text is sound; a field that may
/// be there once is; numbers that repeat are packed. What is refused is named by its place.
///
/// Messages of one kind get a mark: the index of the range of the file that they are, in `marked`.
struct ProtobufSkeleton {
  typealias Description = UnsafePointer<ProtobufCMessageDescriptor>

  private let format: ProtobufFormat
  private(set) var bytes: [UInt8] = []
  private(set) var marked: [FileBytes] = []
  private let markedKind: Description?
  private let markNumber: UInt32
  /// From the outermost message in: a field's name, and its place where it repeats.
  private var path: [(name: UnsafePointer<CChar>?, index: Int?)] = []

  /// - Parameters:
  ///   - markedKind: the message that gets a mark; nil for none.
  ///   - markNumber: its field, of type fixed32, for that.
  /// - Throws: `malformed` with the place; `unsupported` for what is longer than the format's limits allow.
  init(
    _ message: FileBytes, of description: Description, in format: ProtobufFormat,
    marking markedKind: Description?, markNumber: UInt32 = ProtobufFormat.markNumber
  ) throws(FormatError) {
    self.format = format
    self.markedKind = markedKind
    self.markNumber = markNumber
    try copy(message, description)
  }

  private mutating func copy(_ message: FileBytes, _ description: Description) throws(FormatError) {
    if description == markedKind { try mark(message) }
    var reader = ProtobufReader(message)
    var fields = MessageFields(description)
    var run: PackedRun?
    while let found = try next(&reader) {
      guard found.number != markNumber, let field = fields.field(found.number) else { continue }
      guard let index = fields.count(field) else { throw failure("it has the field \(name(field)) twice") }
      let isRepeated = field.pointee.label == PROTOBUF_C_LABEL_REPEATED
      guard let scalar = field.pointee.scalarWireType else {
        guard found.wireType == .bytes else { throw wrongType(field) }
        try copyBytes(found, field, isRepeated ? index : nil)
        run = nil
        continue
      }
      let isPacked = found.wireType == .bytes && isRepeated
      guard isPacked || found.wireType == scalar else { throw wrongType(field) }
      if isRepeated {
        if run?.number != found.number { run = beginRun(found.number) }
        try extend(&run, found.content, scalar)
      } else {
        run = nil
        appendTag(found.number, scalar)
        append(found.content)
      }
      try checkSize()
    }
  }

  /// A message, a text or a string of bytes.
  private mutating func copyBytes(
    _ found: ProtobufReader.Field, _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ index: Int?
  ) throws(FormatError) {
    path.append((field.pointee.name, index))
    appendTag(found.number, .bytes)
    if let nested = field.pointee.nested {
      let place = beginLength()
      try copy(found.content, nested)
      endLength(place)
    } else {
      try check(found.content, isName: field.pointee.type == PROTOBUF_C_TYPE_STRING)
      appendVarint(UInt64(found.content.count))
      append(found.content)
    }
    path.removeLast()
    try checkSize()
  }

  private func check(_ text: FileBytes, isName: Bool) throws(FormatError) {
    let limit = isName ? format.nameByteCount : format.textByteCount
    guard text.count <= limit else {
      throw .unsupported("\(place): a text of \(text.count) bytes; at most \(limit) are read")
    }
    // Names come back in messages of one line and as C strings.
    guard !isName || text.text?.unicodeScalars.allSatisfy(\.isPrintable) == true else {
      throw failure("the text \"\(text.printableText)\" is not UTF-8, or holds control characters")
    }
  }

  // MARK: Writing

  /// Numbers that follow each other under one field number.
  private struct PackedRun {
    let number: UInt32
    let lengthPlace: Int
    var count = 0
  }

  private mutating func beginRun(_ number: UInt32) -> PackedRun {
    appendTag(number, .bytes)
    return PackedRun(number: number, lengthPlace: beginLength())
  }

  private mutating func extend(
    _ run: inout PackedRun?, _ content: FileBytes, _ wireType: ProtobufReader.WireType
  ) throws(FormatError) {
    guard run != nil else { return }
    let count: Int
    do { count = try ProtobufReader.packedCount(content, wireType) } catch { throw failure(error.rawValue) }
    run?.count += count
    guard let run, run.count <= format.listElements else {
      throw .unsupported("\(place): a list of over \(format.listElements) numbers")
    }
    append(content)
    endLength(run.lengthPlace)
  }

  /// The file's own range of a message, under a number that no file's field gets.
  private mutating func mark(_ message: FileBytes) throws(FormatError) {
    guard marked.count < format.tensors else {
      throw .unsupported("the model has over \(format.tensors) tensors")
    }
    appendTag(markNumber, .fixed32)
    withUnsafeBytes(of: UInt32(marked.count).littleEndian) { bytes.append(contentsOf: $0) }
    marked.append(message)
  }

  private mutating func appendTag(_ number: UInt32, _ wireType: ProtobufReader.WireType) {
    appendVarint(UInt64(number) << 3 | wireType.rawValue)
  }

  private mutating func appendVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func append(_ content: FileBytes) { bytes.append(contentsOf: content.bytes) }

  /// A length takes five bytes, whatever it is, so that it can be written afterwards.
  private mutating func beginLength() -> Int {
    bytes.append(contentsOf: [0x80, 0x80, 0x80, 0x80, 0])
    return bytes.count
  }

  private mutating func endLength(_ start: Int) {
    let length = bytes.count - start
    for place in 0..<5 {
      bytes[start - 5 + place] = UInt8(length >> (7 * place) & 0x7f) | (place < 4 ? 0x80 : 0)
    }
  }

  private func checkSize() throws(FormatError) {
    guard bytes.count <= format.structureByteCount else {
      throw .unsupported(
        "the model has over \(format.structureByteCount >> 20) MiB of names, nodes and attributes")
    }
  }

  // MARK: Messages

  private func next(_ reader: inout ProtobufReader) throws(FormatError) -> ProtobufReader.Field? {
    do { return try reader.next() } catch { throw failure(error.rawValue) }
  }

  private func name(_ field: UnsafePointer<ProtobufCFieldDescriptor>) -> String {
    String(cString: field.pointee.name)
  }

  private func wrongType(_ field: UnsafePointer<ProtobufCFieldDescriptor>) -> FormatError {
    failure("its field \(name(field)) is of another type than \(format.name)'s")
  }

  private func failure(_ problem: String) -> FormatError { .malformed("\(place): \(problem)") }

  /// For example `graph.node[3].attribute[0]`.
  private var place: String {
    let steps = path.map { step in
      (step.name.map { String(cString: $0) } ?? "") + (step.index.map { "[\($0)]" } ?? "")
    }
    return steps.isEmpty ? "the model" : steps.joined(separator: ".")
  }
}

/// The fields of one message while it is read.
private struct MessageFields {
  private let description: ProtobufSkeleton.Description
  private var counts: [Int]

  init(_ description: ProtobufSkeleton.Description) {
    self.description = description
    counts = [Int](repeating: 0, count: Int(description.pointee.n_fields))
  }

  func field(_ number: UInt32) -> UnsafePointer<ProtobufCFieldDescriptor>? {
    protobuf_c_message_descriptor_get_field(description, number)
  }

  /// How many of a field were there before; nil where it should be the only one. Those of a `oneof` are one.
  mutating func count(_ field: UnsafePointer<ProtobufCFieldDescriptor>) -> Int? {
    let index = first(field) - description.pointee.fields
    defer { counts[index] += 1 }
    guard field.pointee.label == PROTOBUF_C_LABEL_REPEATED || counts[index] == 0 else { return nil }
    return counts[index]
  }

  /// The first field of the `oneof` that a field belongs to, or the field itself.
  private func first(_ field: UnsafePointer<ProtobufCFieldDescriptor>) -> UnsafePointer<
    ProtobufCFieldDescriptor
  > {
    let isOneOf = PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue
    guard field.pointee.flags & isOneOf != 0 else { return field }
    var first: UnsafePointer<ProtobufCFieldDescriptor> = description.pointee.fields
    // Members of one `oneof` share the place that says which of them is there.
    while first.pointee.flags & isOneOf == 0
      || first.pointee.quantifier_offset != field.pointee.quantifier_offset
    {
      first += 1
    }
    return first
  }
}

extension ProtobufCFieldDescriptor {
  /// The description of the message that the field is, or nil.
  fileprivate var nested: ProtobufSkeleton.Description? {
    guard type == PROTOBUF_C_TYPE_MESSAGE else { return nil }
    return descriptor?.assumingMemoryBound(to: ProtobufCMessageDescriptor.self)
  }

  /// How a number of the field is written; nil for a text, bytes or a message.
  fileprivate var scalarWireType: ProtobufReader.WireType? {
    switch type {
    case PROTOBUF_C_TYPE_MESSAGE, PROTOBUF_C_TYPE_STRING, PROTOBUF_C_TYPE_BYTES: nil
    case PROTOBUF_C_TYPE_FLOAT, PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_SFIXED32: .fixed32
    case PROTOBUF_C_TYPE_DOUBLE, PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_SFIXED64: .fixed64
    default: .varint
    }
  }
}
