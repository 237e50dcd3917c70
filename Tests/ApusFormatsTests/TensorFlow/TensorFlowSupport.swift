import ApusBase
import Foundation
import Testing

@testable import ApusEngine
@testable import ApusFormats

/// TensorFlow's messages, with the numbers of its schema.
enum TF {
  /// - Parameters:
  ///   - inputs: as a file names them.
  ///   - attributes: each an `attribute`.
  static func node(
    _ operatorName: String, _ name: String, _ inputs: [String] = [], _ attributes: [[UInt8]] = []
  ) -> [UInt8] {
    Proto.text(1, name) + Proto.text(2, operatorName) + inputs.flatMap { Proto.text(3, $0) }
      + attributes.flatMap { Proto.bytes(5, $0) }
  }

  static func graph(_ nodes: [[UInt8]], _ more: [UInt8] = []) -> [UInt8] {
    nodes.flatMap { Proto.bytes(1, $0) } + more
  }

  /// - Parameter value: a field of `AttrValue`.
  static func attribute(_ name: String, _ value: [UInt8]) -> [UInt8] {
    Proto.text(1, name) + Proto.bytes(2, value)
  }

  static func text(_ name: String, _ text: String) -> [UInt8] { attribute(name, Proto.text(2, text)) }
  static func int(_ name: String, _ int: Int) -> [UInt8] { attribute(name, Proto.int(3, int)) }
  static func flag(_ name: String, _ flag: Bool) -> [UInt8] { attribute(name, Proto.int(5, flag ? 1 : 0)) }
  static func type(_ name: String, _ type: Int) -> [UInt8] { attribute(name, Proto.int(6, type)) }
  static func ints(_ name: String, _ ints: [Int]) -> [UInt8] {
    attribute(name, Proto.bytes(1, ints.flatMap { Proto.int(3, $0) }))
  }

  static func shape(_ sizes: [Int]) -> [UInt8] { sizes.flatMap { Proto.bytes(2, Proto.int(1, $0)) } }

  static func tensor(_ type: Int, _ shape: [Int], _ data: [UInt8]) -> [UInt8] {
    Proto.int(1, type) + Proto.bytes(2, Self.shape(shape)) + data
  }

  static func input(_ name: String = "x", type: Int = 1, _ sizes: [Int] = [-1, 4]) -> [UInt8] {
    node(
      "Placeholder", name, [], [Self.type("dtype", type), attribute("shape", Proto.bytes(7, shape(sizes)))])
  }

  static func constant(_ name: String, _ type: Int, _ shape: [Int], _ data: [UInt8]) -> [UInt8] {
    node(
      "Const", name, [],
      [Self.type("dtype", type), attribute("value", Proto.bytes(8, tensor(type, shape, data)))])
  }

  static func floats(_ name: String, _ shape: [Int], _ values: [Float]) -> [UInt8] {
    constant(name, 1, shape, Proto.bytes(4, littleEndian(values)))
  }

  static func integers(_ name: String, _ values: [Int32], _ shape: [Int]? = nil) -> [UInt8] {
    constant(name, 3, shape ?? [values.count], Proto.bytes(4, values.flatMap { littleEndian($0) }))
  }
}

func readTensorFlow(_ bytes: [UInt8]) throws(FormatError) -> TensorFlowFile {
  try TensorFlowFile.read(FileMemory(bytes).kept)
}

/// The message that a file is refused with, or nil.
func tensorFlowRefusal(_ bytes: [UInt8]) -> String? {
  do throws(FormatError) {
    _ = try readTensorFlow(bytes)
    return nil
  } catch { return error.description }
}

/// What a graph computes node by node.
func evaluate(_ graph: Graph, _ inputs: [Tensor]) throws -> [Tensor] {
  let evaluation = try Evaluation(graph, inputs: inputs)
  return try graph.outputs.map { try #require(evaluation.tensors[$0]) }
}

/// What a program answers for rows of an input.
func run(_ program: Program, _ rows: Int, _ input: UnsafeRawBufferPointer) throws -> [Float] {
  var output = [Float](repeating: .nan, count: rows * program.outputs)
  let arena = AlignedBuffer(byteCount: program.arenaBytes)
  let rowBytes = input.count / rows
  try output.withUnsafeMutableBufferPointer { output in
    var row = 0
    while row < rows {
      let count = min(program.blockRows, rows - row)
      try program.run(
        rows: count, input: input.baseAddress! + row * rowBytes,
        output: output.baseAddress! + row * program.outputs, arena: arena.baseAddress)
      row += count
    }
  }
  return output
}

/// The largest difference, for numbers above 1 as a part of the number.
func difference(_ found: [Double], _ expected: [Double]) -> Double {
  guard found.count == expected.count else { return .infinity }
  return zip(found, expected).map { abs($0 - $1) / max(1, abs($1)) }.reduce(0) {
    $0 < $1 || $1.isNaN ? $1 : $0
  }
}
