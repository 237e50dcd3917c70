import ApusIO
import Glibc

/// Why a `.npy` file cannot be read or written.
enum NumPyError: Error, Equatable, CustomStringConvertible {
  /// The kernel refused: what cannot be done with the file, and the error's number.
  case system(String, Int32)
  /// The bytes are no `.npy` file, or a damaged one.
  case malformed(String)
  /// A sound file of a kind that is not read.
  case unsupported(String)

  var description: String {
    switch self {
    case .system(let operation, let number): "cannot be \(operation): \(String(cString: strerror(number)))"
    case .malformed(let problem): "not a sound .npy file: \(problem); write one with numpy.save"
    case .unsupported(let problem): problem
    }
  }
}

/// An array of numbers from a `.npy` file, row-major.
///
/// The format is that of numpy.lib.format: the magic `\x93NUMPY`, two version bytes, the header's length, the
/// header (a Python dictionary in text), then the numbers.
struct NumPyFile: Equatable {
  /// Empty for a single number.
  var shape: [Int]
  /// As many as the product of `shape`.
  var values: [Float]

  /// Longest file that is read, in bytes.
  static let maximumBytes = 1 << 30
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  init(shape: [Int], values: [Float]) {
    self.shape = shape
    self.values = values
  }

  /// Reads the bytes of a file of format 1.0, 2.0 or 3.0.
  ///
  /// - Throws: `malformed`, also for bytes after the numbers; `unsupported` for other element types and byte
  ///   orders and for column-major arrays.
  init(parsing bytes: [UInt8]) throws(NumPyError) {
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
    var reader = NumPyHeaderReader(bytes[start..<start + length])
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
    values = bytes.withUnsafeBytes { whole in
      type.values(UnsafeRawBufferPointer(rebasing: whole[(start + length)...]), count: count)
    }
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
  func encoded() -> [UInt8] {
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

// MARK: Files

extension NumPyFile {
  /// Reads a file, or a pipe to its end, of at most `maximumBytes`.
  init(path: String) throws(NumPyError) {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw .system("opened", errno) }
    let descriptor = Descriptor(owning: number)
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 18)
    while true {
      let count = Glibc.read(descriptor.number, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw .system("read", errno) }
      if count == 0 { break }
      guard bytes.count + count <= Self.maximumBytes else {
        throw .unsupported("the file is longer than \(Self.maximumBytes >> 20) MiB; split the array")
      }
      bytes.append(contentsOf: chunk[..<count])
    }
    try self.init(parsing: bytes)
  }

  /// Writes a file of 32-bit floats, in place of one that is there.
  func write(to path: String) throws(NumPyError) {
    let number = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard number >= 0 else { throw .system("written", errno) }
    let descriptor = Descriptor(owning: number)
    let bytes = encoded()
    var position = 0
    while position < bytes.count {
      let count = bytes[position...].withUnsafeBytes {
        Glibc.write(descriptor.number, $0.baseAddress, $0.count)
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw .system("written", errno) }
      position += count
    }
  }
}
