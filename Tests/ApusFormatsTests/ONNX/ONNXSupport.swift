import Testing

@testable import ApusEngine
@testable import ApusFormats

/// Fields of protobuf messages, written as their format says.
enum Proto {
  static func varint(_ value: UInt64) -> [UInt8] {
    var rest = value
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  static func tag(_ number: Int, _ wireType: Int) -> [UInt8] { varint(UInt64(number << 3 | wireType)) }
  static func int(_ number: Int, _ value: Int) -> [UInt8] {
    tag(number, 0) + varint(UInt64(bitPattern: Int64(value)))
  }
  static func float(_ number: Int, _ value: Float) -> [UInt8] {
    tag(number, 5) + littleEndian(value.bitPattern)
  }
  static func bytes(_ number: Int, _ value: [UInt8]) -> [UInt8] {
    tag(number, 2) + varint(UInt64(value.count)) + value
  }
  static func text(_ number: Int, _ value: String) -> [UInt8] { bytes(number, Array(value.utf8)) }
}

/// ONNX's messages, with the numbers of its schema.
enum ONNX {
  static func tensor(
    _ name: String, _ type: Int, _ dims: [Int], raw: [UInt8]? = nil, data: [UInt8] = []
  ) -> [UInt8] {
    dims.flatMap { Proto.int(1, $0) } + Proto.int(2, type) + (name.isEmpty ? [] : Proto.text(8, name))
      + (raw.map { Proto.bytes(9, $0) } ?? []) + data
  }

  static func external(_ name: String, _ type: Int, _ dims: [Int], _ entries: [(String, String)]) -> [UInt8] {
    let data = entries.flatMap { Proto.bytes(13, Proto.text(1, $0.0) + Proto.text(2, $0.1)) }
    return tensor(name, type, dims, data: data + Proto.int(14, 1))
  }

  /// - Parameter dims: a number, or nil for one that is open.
  static func input(_ name: String, type: Int = 1, _ dims: [Int?]? = [4]) -> [UInt8] {
    let shape = (dims ?? []).flatMap { Proto.bytes(1, $0.map { Proto.int(1, $0) } ?? Proto.text(2, "batch")) }
    let tensor = Proto.int(1, type) + (dims == nil ? [] : Proto.bytes(2, shape))
    return Proto.text(1, name) + Proto.bytes(2, Proto.bytes(1, tensor))
  }

  static func output(_ name: String) -> [UInt8] { Proto.text(1, name) }

  static func node(
    _ operatorName: String, _ inputs: [String], _ outputs: [String], name: String = "", domain: String = "",
    attributes: [[UInt8]] = []
  ) -> [UInt8] {
    inputs.flatMap { Proto.text(1, $0) } + outputs.flatMap { Proto.text(2, $0) }
      + (name.isEmpty ? [] : Proto.text(3, name)) + Proto.text(4, operatorName)
      + (domain.isEmpty ? [] : Proto.text(7, domain)) + attributes.flatMap { Proto.bytes(5, $0) }
  }

  /// - Parameter value: fields of `AttributeProto`.
  static func attribute(_ name: String, type: Int, _ value: [UInt8]) -> [UInt8] {
    Proto.text(1, name) + value + Proto.int(20, type)
  }

  static func graph(
    nodes: [[UInt8]] = [node("Identity", ["x"], ["y"])], initializers: [[UInt8]] = [],
    inputs: [[UInt8]] = [input("x")], outputs: [String] = ["y"]
  ) -> [UInt8] {
    nodes.flatMap { Proto.bytes(1, $0) } + Proto.text(2, "g") + initializers.flatMap { Proto.bytes(5, $0) }
      + inputs.flatMap { Proto.bytes(11, $0) } + outputs.flatMap { Proto.bytes(12, output($0)) }
  }

  static func opset(_ domain: String, _ version: Int) -> [UInt8] {
    Proto.bytes(8, (domain.isEmpty ? [] : Proto.text(1, domain)) + Proto.int(2, version))
  }

  static func model(_ graph: [UInt8] = graph(), opsets: [UInt8] = opset("", 13), ir: Int = 8) -> [UInt8] {
    Proto.int(1, ir) + Proto.text(2, "apus tests") + Proto.text(3, "1") + Proto.bytes(7, graph) + opsets
  }

  /// A model that gives a tensor of the file on, of which only that is of interest.
  static func model(tensor: [UInt8]) -> [UInt8] {
    model(graph(nodes: [node("Identity", ["w"], ["y"])], initializers: [tensor]))
  }
}

/// Memory of exactly a file's size, so that the address sanitizer sees a read beyond it, at a chosen distance
/// from an address that every type of element is aligned to.
final class FileMemory: Sendable {
  let kept: KeptBytes

  private final class Memory: @unchecked Sendable {
    let buffer: UnsafeMutableRawBufferPointer
    init(_ byteCount: Int) { buffer = .allocate(byteCount: byteCount, alignment: 64) }
    deinit { buffer.deallocate() }
  }

  init(_ bytes: [UInt8], offset: Int = 0) {
    let memory = Memory(bytes.count + offset)
    let file = UnsafeMutableRawBufferPointer(rebasing: memory.buffer[offset...])
    file.copyBytes(from: bytes)
    kept = KeptBytes(UnsafeRawBufferPointer(file), keeping: memory)
  }
}

func readONNX(
  _ bytes: [UInt8], operators: OperatorTable = .standard, companions: [String: [UInt8]] = [:]
) throws(FormatError) -> ONNXFile {
  let files = companions.mapValues { FileMemory($0).kept }
  return try ONNXFile.read(FileMemory(bytes).kept, operators: operators) { files[$0] }
}

/// The message that a file is refused with, or nil.
func onnxRefusal(_ bytes: [UInt8], companions: [String: [UInt8]] = [:]) -> String? {
  do throws(FormatError) {
    _ = try readONNX(bytes, companions: companions)
    return nil
  } catch { return error.description }
}

extension ONNXFile {
  func constant(_ name: String) throws -> Tensor {
    try #require(graph.values.first { $0.name == name }?.constant)
  }
}

/// An operator of any name that computes nothing: for graphs whose structure alone is of interest.
struct StandIn: Operator {
  let name: String
  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] { [] }
  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {}

  static func table(_ names: [String]) -> OperatorTable {
    OperatorTable([
      names.map { name in
        let parts = name.split(separator: ":").map(String.init)
        return OperatorEntry(parts.last ?? "", domain: parts.count > 1 ? parts[0] : "") {
          (_) throws(GraphError) in StandIn(name: name)
        }
      }
    ])
  }
}
