import ApusEngine
import Foundation
import Testing

@testable import ApusFormats

/// Files of `Tests/Fixtures`.
enum Fixtures {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  static func bytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appending(path: path)))
  }

  static func json(_ path: String) throws -> [String: Any] {
    let object = try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appending(path: path)))
    return try #require(object as? [String: Any])
  }

  static func doubles(_ path: String) throws -> [Double] {
    let bytes = try bytes(path)
    return stride(from: 0, to: bytes.count, by: 8).map { offset in
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Double.self) }
    }
  }

  static func floats(_ path: String) throws -> [Float] {
    let bytes = try bytes(path)
    return stride(from: 0, to: bytes.count, by: 4).map { offset in
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Float.self) }
    }
  }
}

/// A state_dict's tensors, copied out of the file.
struct ReadTensor: Equatable {
  let name: String
  let elementType: ElementType
  let shape: [Int]
  let values: [Float]
}

func readTensors(_ bytes: [UInt8]) throws(FormatError) -> [ReadTensor] {
  try withStateDict(bytes) { (stateDict) throws(FormatError) in
    var result: [ReadTensor] = []
    for tensor in stateDict.tensors {
      result.append(
        ReadTensor(
          name: tensor.name, elementType: tensor.elementType, shape: tensor.shape, values: try tensor.floats()
        ))
    }
    return result
  }
}

func withStateDict<Result>(
  _ bytes: [UInt8], _ body: (StateDict) throws(FormatError) -> Result
) throws(FormatError) -> Result {
  // Memory of exactly the file's size, so that the address sanitizer sees a read beyond it.
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { buffer.deallocate() }
  buffer.copyBytes(from: bytes)
  return try body(try WeightFile.read(UnsafeRawBufferPointer(buffer)))
}

/// The error that reading the file and building a network from it gives, or nil.
func refusal(of bytes: [UInt8]) -> FormatError? {
  do {
    _ = try withStateDict(bytes) { (stateDict) throws(FormatError) in
      for tensor in stateDict.tensors { _ = try tensor.floats() }
      return try makeNetwork(stateDict, architecture: nil, output: nil)
    }
    return nil
  } catch {
    return error
  }
}

// MARK: - Files made to measure

func littleEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
}

func littleEndian(_ values: [Float]) -> [UInt8] { values.flatMap { littleEndian($0.bitPattern) } }

/// A zip archive of stored entries, with switches for what a broken or hostile writer does.
struct ZipBuilder {
  struct Entry {
    var name: String
    var contents: [UInt8]
    var localName: String?
    var method: UInt16 = 0
    var flags: UInt16 = 0
    /// The local header's size field, where it differs.
    var localSize: UInt32?
    /// Where the central directory says the entry is, where it differs.
    var offset: UInt32?
  }

  var entries: [Entry] = []
  var usesZip64 = false
  var announcedEntries: UInt16?
  var comment: [UInt8] = []

  init(_ entries: [(String, [UInt8])]) { self.entries = entries.map { Entry(name: $0.0, contents: $0.1) } }

  var bytes: [UInt8] {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for entry in entries {
      let offset = entry.offset ?? UInt32(file.count)
      let size = UInt32(entry.contents.count)
      let localName = Array((entry.localName ?? entry.name).utf8)
      file += littleEndian(UInt32(0x0403_4b50)) + littleEndian(UInt16(20))
      file += littleEndian(entry.flags) + littleEndian(entry.method) + [UInt8](repeating: 0, count: 8)
      file += littleEndian(entry.localSize ?? size) + littleEndian(entry.localSize ?? size)
      file += littleEndian(UInt16(localName.count)) + [0, 0] + localName + entry.contents

      let extra: [UInt8] =
        usesZip64
        ? littleEndian(UInt16(1)) + littleEndian(UInt16(24)) + littleEndian(UInt64(size))
          + littleEndian(UInt64(size)) + littleEndian(UInt64(offset)) : []
      directory += littleEndian(UInt32(0x0201_4b50)) + [0, 0, 0, 0] + littleEndian(entry.flags)
      directory += littleEndian(entry.method) + [UInt8](repeating: 0, count: 8)
      directory += littleEndian(usesZip64 ? UInt32.max : size) + littleEndian(usesZip64 ? UInt32.max : size)
      directory += littleEndian(UInt16(entry.name.utf8.count)) + littleEndian(UInt16(extra.count))
      directory += [UInt8](repeating: 0, count: 10) + littleEndian(usesZip64 ? UInt32.max : offset)
      directory += Array(entry.name.utf8) + extra
    }
    let start = file.count
    let count = announcedEntries ?? UInt16(entries.count)
    file += directory
    if usesZip64 {
      let record = file.count
      file += littleEndian(UInt32(0x0606_4b50)) + littleEndian(UInt64(44)) + [UInt8](repeating: 0, count: 12)
      file += littleEndian(UInt64(count)) + littleEndian(UInt64(count))
      file += littleEndian(UInt64(directory.count)) + littleEndian(UInt64(start))
      file += littleEndian(UInt32(0x0706_4b50)) + littleEndian(UInt32(0)) + littleEndian(UInt64(record))
      file += littleEndian(UInt32(1))
    }
    file += littleEndian(UInt32(0x0605_4b50)) + [0, 0, 0, 0] + littleEndian(count) + littleEndian(count)
    file += littleEndian(usesZip64 ? UInt32.max : UInt32(directory.count))
    file += littleEndian(usesZip64 ? UInt32.max : UInt32(start))
    return file + littleEndian(UInt16(comment.count)) + comment
  }
}

/// Opcodes of a pickle, put together by hand.
enum Pickled {
  static func text(_ text: String) -> [UInt8] {
    [0x58] + littleEndian(UInt32(text.utf8.count)) + Array(text.utf8)
  }

  static func number(_ value: Int) -> [UInt8] { [0x8a, 8] + littleEndian(Int64(value)) }

  static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }

  static func tuple(_ items: [[UInt8]]) -> [UInt8] { [0x28] + items.flatMap { $0 } + [0x74] }

  static func numbers(_ values: [Int]) -> [UInt8] { tuple(values.map(number)) }

  static func storage(_ type: String = "FloatStorage", key: String = "0", count: Int) -> [UInt8] {
    tuple([text("storage"), global("torch", type), text(key), text("cpu"), number(count)]) + [0x51]
  }

  static func tensor(_ storage: [UInt8], offset: Int = 0, shape: [Int], strides: [Int]) -> [UInt8] {
    global("torch._utils", "_rebuild_tensor_v2")
      + tuple([storage, number(offset), numbers(shape), numbers(strides), [0x89], [0x4e]]) + [0x52]
  }

  /// A dict; values are pickled already.
  static func dict(_ items: [(String, [UInt8])]) -> [UInt8] {
    [0x7d, 0x28] + items.flatMap { text($0.0) + $0.1 } + [0x75]
  }

  static func file(_ value: [UInt8]) -> [UInt8] { [0x80, 2] + value + [0x2e] }
}

/// A .pth of the zip form with this pickled object and these storages.
func torchFile(_ object: [UInt8], storages: [String: [UInt8]]) -> [UInt8] {
  let data = storages.sorted { $0.key < $1.key }.map { ("a/data/\($0.key)", $0.value) }
  return ZipBuilder([("a/data.pkl", Pickled.file(object)), ("a/byteorder", Array("little".utf8))] + data)
    .bytes
}

/// A .safetensors file of this header.
func safetensorsFile(_ header: String, data: [UInt8]) -> [UInt8] {
  littleEndian(UInt64(header.utf8.count)) + Array(header.utf8) + data
}

/// Layers of zeros under names, as safetensors: (name, shape).
func zerosFile(_ tensors: [(String, [Int])]) -> [UInt8] {
  var offset = 0
  var fields: [String] = []
  for (name, shape) in tensors {
    let end = offset + 4 * shape.reduce(1, *)
    fields.append("\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":[\(offset),\(end)]}")
    offset = end
  }
  return safetensorsFile(
    "{" + fields.joined(separator: ",") + "}", data: [UInt8](repeating: 0, count: offset))
}
