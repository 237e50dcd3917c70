import ApusBase

/// Why the bytes of a `.npy` file cannot be used.
package enum NumPyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The bytes are no `.npy` file, or a damaged one.
  case malformed(String)
  /// A sound file of a kind that is not read.
  case unsupported(String)

  package var description: String {
    switch self {
    case .malformed(let problem): "not a sound .npy file: \(problem); write one with numpy.save"
    case .unsupported(let problem): problem
    }
  }
}

/// An array of numbers from a `.npy` file, row-major.
///
/// The format is that of numpy.lib.format: the magic `\x93NUMPY`, two version bytes, the header's length, the
/// header (a Python dictionary in text), then the numbers.
package struct NumPyFile: Equatable, Sendable {
  /// Empty for a single number.
  package var shape: [Int]
  /// As many as the product of `shape`.
  package var values: [Float]

  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  package init(shape: [Int], values: [Float]) {
    self.shape = shape
    self.values = values
  }

  /// Reads the bytes of a file of format 1.0, 2.0 or 3.0.
  ///
  /// - Throws: `malformed`, also for bytes after the numbers; `unsupported` for other element types and byte
  ///   orders and for column-major arrays.
  package init(parsing bytes: [UInt8]) throws(NumPyError) {
    self = try bytes.withBytes { (bytes) throws(NumPyError) in try NumPyFile(parsing: bytes) }
  }

  /// Reads the bytes of a file; nothing of them is kept.
  package init(parsing bytes: UnsafeRawBufferPointer) throws(NumPyError) {
    guard bytes.count >= 10, bytes.starts(with: Self.magic) else {
      throw .malformed("it does not begin with \\x93NUMPY")
    }
    let major = bytes[6]
    guard (1...3).contains(major), bytes[7] == 0 else {
      throw .unsupported("the .npy format \(major).\(bytes[7]) is not read, only 1.0, 2.0 and 3.0")
    }
    let lengthBytes = major == 1 ? 2 : 4
    guard bytes.count >= 8 + lengthBytes else { throw .malformed("it ends inside its header") }
    let start = 8 + lengthBytes
    let length = bytes[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= bytes.count - start else { throw .malformed("it ends inside its header") }
    var reader = NumPyHeaderReader(ArraySlice(bytes[start..<start + length]))
    let header = try reader.read()
    let type = try NumPyElement(header.description)
    guard !header.isColumnMajor || header.shape.count < 2 else {
      throw .unsupported("the array is column-major; save numpy.ascontiguousarray(array)")
    }
    let count = try Self.product(header.shape, type.byteCount)
    let data = bytes.count - start - length
    guard count * type.byteCount == data else {
      throw .malformed(
        "\(count) numbers of \(type.byteCount) bytes should follow the header, \(data) bytes do")
    }
    shape = header.shape
    values = type.values(UnsafeRawBufferPointer(rebasing: bytes[(start + length)...]), count: count)
  }

  /// The number of elements, if their bytes can be counted.
  private static func product(_ shape: [Int], _ elementBytes: Int) throws(NumPyError) -> Int {
    var bytes = elementBytes
    for dimension in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: dimension)
      guard !overflow else { throw .malformed("its shape \(shape) is too large") }
      bytes = product
    }
    return bytes / elementBytes
  }

  /// The bytes of a file of format 1.0 with 32-bit floats.
  package func encoded() -> [UInt8] {
    let tuple = shape.map { "\($0)," }.joined(separator: " ")
    var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(tuple)), }"
    let unpadded = 10 + header.utf8.count + 1
    header += String(repeating: " ", count: (64 - unpadded % 64) % 64) + "\n"
    let length = header.utf8.count
    var bytes = Self.magic + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + Array(header.utf8)
    bytes.reserveCapacity(bytes.count + values.count * 4)
    // The machine is little-endian, as the file.
    values.withUnsafeBytes { bytes.append(contentsOf: $0) }
    return bytes
  }
}
