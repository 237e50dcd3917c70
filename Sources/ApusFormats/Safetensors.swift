import ApusEngine
/// Files of https://github.com/huggingface/safetensors (README, "Format"): the header's length (u64), a JSON
/// object of `"NAME": {"dtype": …, "shape": […], "data_offsets": [begin, end]}`, then the data without holes.
enum Safetensors {
  /// Longest header, as in the reference implementation.
  static let maximumHeaderBytes = 100_000_000
  static let maximumTensors = 65_536

  private struct Entry {
    var name: String
    var type: ElementType
    var shape: [Int]
    var range: Range<Int>
  }

  static func read(_ bytes: FileBytes) throws(FormatError) -> StateDict {
    guard let length = bytes.integer(at: 0, as: UInt64.self) else {
      throw .truncated(part: "the safetensors header", position: bytes.count)
    }
    guard length <= maximumHeaderBytes, length <= bytes.count - 8,
      let header = bytes.slice(at: 8, count: Int(length)),
      let data = bytes.slice(at: 8 + Int(length), count: bytes.count - 8 - Int(length))
    else {
      throw .malformed("the safetensors header should have \(length) bytes; the file has \(bytes.count)")
    }
    guard header.count > 0, header[0] == UInt8(ascii: "{") else {
      throw .malformed("the safetensors header is not a JSON object")
    }
    let entries = try readHeader(header)
    try checkCoverage(entries, byteCount: data.count)
    // Writers sort by type and name, so that layer 10 comes before layer 2: numbers in names are compared as
    // such.
    var tensors: [WeightTensor] = []
    for entry in entries.sorted(by: { naturallyPrecedes($0.name, $1.name) }) {
      tensors.append(try tensor(entry, data: data, fileByteCount: bytes.count))
    }
    guard !tensors.isEmpty else { throw .noStateDict("the safetensors file has no tensors") }
    return StateDict(format: .safetensors, tensors: tensors, fileByteCount: bytes.count)
  }

  private static func readHeader(_ header: FileBytes) throws(FormatError) -> [Entry] {
    var json = JSONReader(header, part: "the safetensors header")
    var entries: [Entry] = []
    var names: Set<String> = []
    try json.expect("{")
    var isFirst = true
    while try json.next(isFirst: isFirst, end: "}") {
      isFirst = false
      let name = try json.string()
      guard names.insert(name).inserted else { throw json.failure("name \(printable(name)) is there twice") }
      try json.expect(":")
      guard entries.count < maximumTensors else {
        throw .unsupported("a file of more than \(maximumTensors) tensors")
      }
      if name == "__metadata__" {
        try skipMetadata(&json)
      } else {
        entries.append(try readEntry(&json, name: name))
      }
    }
    try json.finish()
    return entries
  }

  /// An object of strings.
  private static func skipMetadata(_ json: inout JSONReader) throws(FormatError) {
    try json.expect("{")
    var keys: Set<String> = []
    while try json.next(isFirst: keys.isEmpty, end: "}") {
      let key = try json.string()
      guard keys.insert(key).inserted else { throw json.failure("key \(printable(key)) is there twice") }
      try json.expect(":")
      _ = try json.string()
    }
  }

  private static func readEntry(_ json: inout JSONReader, name: String) throws(FormatError) -> Entry {
    var type: ElementType?
    var shape: [Int]?
    var offsets: [Int]?
    var isFirst = true
    try json.expect("{")
    while try json.next(isFirst: isFirst, end: "}") {
      isFirst = false
      let key = try json.string()
      try json.expect(":")
      switch key {
      case "dtype" where type == nil: type = try elementType(try json.string(), name: name)
      case "shape" where shape == nil: shape = try numbers(&json, atMost: WeightTensor.maximumRank)
      case "data_offsets" where offsets == nil: offsets = try numbers(&json, atMost: 2)
      default:
        throw json.failure("field \(printable(key)) of \(printable(name)) is unknown or there twice")
      }
    }
    guard let type, let shape, let offsets, offsets.count == 2, offsets[0] <= offsets[1] else {
      throw .tensor(name: printable(name), problem: "needs dtype, shape and data_offsets [begin, end]")
    }
    return Entry(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
  }

  private static func numbers(_ json: inout JSONReader, atMost limit: Int) throws(FormatError) -> [Int] {
    var result: [Int] = []
    try json.expect("[")
    while try json.next(isFirst: result.isEmpty, end: "]") {
      guard result.count < limit else { throw json.failure("more than \(limit) numbers in a list") }
      result.append(try json.unsignedInteger())
    }
    return result
  }

  private static func elementType(_ name: String, name tensor: String) throws(FormatError) -> ElementType {
    switch name {
    case "F64": .float64
    case "F32": .float32
    case "F16": .float16
    case "BF16": .bfloat16
    case "I64": .int64
    case "I32": .int32
    case "I16": .int16
    case "I8": .int8
    case "U64": .uint64
    case "U32": .uint32
    case "U16": .uint16
    case "U8": .uint8
    case "BOOL": .bool
    case "C64": .complex64
    case "F8_E4M3": .float8e4m3
    case "F8_E5M2": .float8e5m2
    default: throw .tensor(name: printable(tensor), problem: "unknown dtype \(printable(name))")
    }
  }

  /// The ranges must follow each other without hole or overlap and end with the file.
  private static func checkCoverage(_ entries: [Entry], byteCount: Int) throws(FormatError) {
    var position = 0
    for entry in entries.sorted(by: {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }) {
      guard entry.range.lowerBound == position, entry.range.upperBound <= byteCount else {
        throw .tensor(
          name: printable(entry.name),
          problem: "its data_offsets [\(entry.range.lowerBound), \(entry.range.upperBound)] should begin at "
            + "\(position), where the tensor before ends, and end within the data's \(byteCount) bytes")
      }
      position = entry.range.upperBound
    }
    guard position == byteCount else {
      throw .malformed("\(byteCount - position) bytes after the last tensor of the safetensors file")
    }
  }

  private static func tensor(
    _ entry: Entry, data: FileBytes, fileByteCount: Int
  ) throws(FormatError) -> WeightTensor {
    guard let count = product(entry.shape),
      let storage = data.slice(at: entry.range.lowerBound, count: entry.range.count),
      entry.range.count % entry.type.byteCount == 0, entry.range.count / entry.type.byteCount == count
    else {
      throw .tensor(
        name: printable(entry.name),
        problem:
          "shape \(printable(entry.shape)) of \(entry.type.rawValue) does not fit \(entry.range.count) bytes"
      )
    }
    var strides = [Int](repeating: 1, count: entry.shape.count)
    for dimension in stride(from: entry.shape.count - 2, through: 0, by: -1) {
      strides[dimension] = strides[dimension + 1] &* entry.shape[dimension + 1]
    }
    return try WeightTensor(
      name: entry.name, elementType: entry.type, shape: entry.shape, strides: strides, offset: 0,
      storage: storage,
      fileByteCount: fileByteCount)
  }
}

/// Whether one name comes before another when runs of digits count as numbers: `layer2` before `layer10`.
func naturallyPrecedes(_ left: String, _ right: String) -> Bool {
  let (a, b) = (Array(left.utf8), Array(right.utf8))
  func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
  /// The digits from `start` on, without leading zeros, and where they end.
  func number(_ text: [UInt8], _ start: Int) -> (digits: ArraySlice<UInt8>, end: Int) {
    var end = start
    while end < text.count, isDigit(text[end]) { end += 1 }
    return (text[start..<end].drop { $0 == UInt8(ascii: "0") }, end)
  }
  var (i, j) = (0, 0)
  while i < a.count, j < b.count {
    if isDigit(a[i]), isDigit(b[j]) {
      let (x, y) = (number(a, i), number(b, j))
      if x.digits.count != y.digits.count { return x.digits.count < y.digits.count }
      if !x.digits.elementsEqual(y.digits) { return x.digits.lexicographicallyPrecedes(y.digits) }
      (i, j) = (x.end, y.end)
    } else {
      if a[i] != b[j] { return a[i] < b[j] }
      (i, j) = (i + 1, j + 1)
    }
  }
  return a.count - i != b.count - j ? a.count - i < b.count - j : left < right
}
