import ApusBase
import Testing

@testable import ApusEngine

/// A graph of one input and one output, computed in several ways.
struct GraphCheck {
  let graph: Graph

  init(_ graph: Graph) { self.graph = graph }
  init(_ builder: GraphBuilder, _ output: String = "y") throws { graph = try builder.graph(output) }

  /// What a program gives for rows of these numbers.
  func run<Element: TensorElement>(_ input: [Element], rows: Int, isPlain: Bool) throws -> [Float] {
    let program = isPlain ? try Program(plainly: graph) : try Program(graph)
    // One more, so that there is an address where a row has no numbers.
    var output = [Float](repeating: .nan, count: rows * program.outputs + 1)
    let arena = AlignedBuffer(byteCount: program.arenaBytes)
    try input.withUnsafeBufferPointer { input in
      try output.withUnsafeMutableBufferPointer { output in
        for first in stride(from: 0, to: rows, by: program.blockRows) {
          try program.run(
            rows: min(program.blockRows, rows - first),
            input: UnsafeRawPointer(input.baseAddress! + first * program.inputs),
            output: output.baseAddress! + first * program.outputs, arena: arena.baseAddress)
        }
      }
    }
    return output.dropLast()
  }

  /// Compares quick steps with plain ones for some numbers of rows.
  func agrees<Element: TensorElement>(
    _ input: [Element], tolerance: Float = 0, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let inputs = try Program(plainly: graph).inputs
    for rows in Set([1, 2, input.count / max(1, inputs)]) {
      let numbers = Array(input.prefix(rows * inputs))
      let plain = try run(numbers, rows: rows, isPlain: true)
      let quick = try run(numbers, rows: rows, isPlain: false)
      let isEqual = zip(plain, quick).allSatisfy {
        $0 == $1 || $0.isNaN && $1.isNaN || abs($0 - $1) <= tolerance * max(1, abs($0))
      }
      let worst = zip(plain, quick).map { abs($0 - $1) }.max() ?? 0
      #expect(isEqual, "\(rows) rows, \(worst) apart", sourceLocation: sourceLocation)
    }
  }

  /// Names of the operators that are left when a graph is fused.
  func operators() throws -> [String] { try graph.folded().fused().nodes.map(\.operation.name) }

  /// Whether there is a quick kernel for each node as it stands in the file.
  func isQuick() throws -> Bool {
    let folded = try graph.folded()
    let editor = GraphEditor(folded, try BatchTyping(folded))
    return folded.nodes.indices.allSatisfy {
      quickKernel(folded.nodes[$0].operation, editor.types(of: $0), KernelPlanner()) != nil
    }
  }
}

/// SplitMix64: the same numbers for the same seed on every machine.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: Int) { state = UInt64(seed) }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func integer(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
  mutating func flag() -> Bool { Bool.random(using: &self) }
  mutating func floats(_ count: Int, _ range: ClosedRange<Float> = -2...2) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }
  /// Sizes of some dimensions.
  mutating func shape(_ rank: ClosedRange<Int>, _ sizes: ClosedRange<Int> = 1...9) -> [Int] {
    (0..<integer(rank)).map { _ in integer(sizes) }
  }
}
