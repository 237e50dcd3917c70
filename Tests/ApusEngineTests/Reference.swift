import ApusEngine
import Foundation
import Testing

/// The same arithmetic in double precision, as plainly as it can be written.
enum Reference {
  static func logits(_ network: Network, _ input: [Float], rows: Int) -> [Double] {
    var values = input.map(Double.init)
    for layer in network.layers {
      var next = [Double](repeating: 0, count: rows * layer.outputs)
      let weights = layer.weights.view.elements(Float.self)
      let bias = layer.bias?.view.elements(Float.self)
      values.withUnsafeBufferPointer { values in
        for row in 0..<rows {
          for output in 0..<layer.outputs {
            var sum = bias.map { Double($0[output]) } ?? 0
            for index in 0..<layer.inputs {
              sum += Double(weights[output * layer.inputs + index]) * values[row * layer.inputs + index]
            }
            next[row * layer.outputs + output] = apply(layer.activation, sum)
          }
        }
      }
      values = next
    }
    return values
  }

  static func apply(_ activation: Activation, _ x: Double) -> Double {
    switch activation {
    case .none: x
    case .relu: Swift.max(x, 0)
    case .tanh: tanh(x)
    case .sigmoid: 1 / (1 + exp(-x))
    case .gelu: x * 0.5 * (1 + erf(x / 2.0.squareRoot()))
    }
  }

  static func probabilities(_ head: OutputActivation, _ logits: [Double], columns: Int) -> [Double] {
    switch head {
    case .none: return logits
    case .sigmoid: return logits.map { 1 / (1 + exp(-$0)) }
    case .softmax:
      return stride(from: 0, to: logits.count, by: columns).flatMap { first in
        let row = logits[first..<(first + columns)]
        let largest = row.max() ?? 0
        let powers = row.map { exp($0 - largest) }
        let sum = powers.reduce(0, +)
        return powers.map { $0 / sum }
      }
    }
  }
}

/// The largest difference, each relative to 1 or to its value where that is larger.
func worstError(_ found: [Float], _ expected: [Double]) -> Double {
  zip(found, expected).reduce(0) { worst, pair in
    let error = abs(Double(pair.0) - pair.1) / max(1, abs(pair.1))
    return error.isNaN ? .infinity : max(worst, error)
  }
}

extension Plan {
  convenience init(_ network: Network, planning: Planning = .measured) throws {
    try self.init(Classifier(network), planning: planning)
  }
}

/// Calls a plan with rows that lie apart, and checks that it keeps to the memory it was given.
struct Caller {
  let plan: Plan
  var inputGap = 0
  var outputGap = 0

  private static let guardFloats = 16
  private static let guardValue: Float = -12345.5

  /// - Returns: the logits and the probabilities, without the gaps.
  func compute(_ input: [Float], rows: Int) -> (logits: [Float], probabilities: [Float]) {
    let inputStride = plan.inputs + inputGap
    let outputStride = plan.outputs + outputGap
    // What lies between rows must not reach a result: a NaN would.
    var received = [Float](repeating: .nan, count: rows * inputStride + Self.guardFloats)
    for row in 0..<rows {
      for column in 0..<plan.inputs {
        received[row * inputStride + column] = input[row * plan.inputs + column]
      }
    }
    var logits = guarded(rows * outputStride)
    var probabilities = logits
    // Aligned to 64 bytes, as a plan asks for.
    let workspaceFloats = plan.workspaceBytes / 4
    let workspace = UnsafeMutableRawBufferPointer.allocate(
      byteCount: 4 * (workspaceFloats + Self.guardFloats), alignment: 64
    ).bindMemory(to: Float.self)
    defer { workspace.deallocate() }
    workspace.update(repeating: .nan)
    workspace[workspaceFloats...].update(repeating: Self.guardValue)
    received.withUnsafeBufferPointer { received in
      logits.withUnsafeMutableBufferPointer { logits in
        #expect(throws: Never.self) {
          try plan.logits(
            input: received.baseAddress!, inputStride: inputStride, rows: rows, output: logits.baseAddress!,
            outputStride: outputStride, workspace: workspace.baseAddress!)
        }
        probabilities.withUnsafeMutableBufferPointer { probabilities in
          plan.probabilities(
            logits: logits.baseAddress!, logitsStride: outputStride, rows: rows,
            output: probabilities.baseAddress!, outputStride: outputStride)
        }
      }
    }
    #expect(
      workspace[workspaceFloats...].allSatisfy { $0 == Self.guardValue }, "wrote past the workspace")
    return (rowsOf(logits, rows), rowsOf(probabilities, rows))
  }

  private func guarded(_ count: Int) -> [Float] {
    Array(repeating: Self.guardValue, count: count + Self.guardFloats)
  }

  /// The rows without their gaps, which must be as they were.
  private func rowsOf(_ values: [Float], _ rows: Int) -> [Float] {
    let stride = plan.outputs + outputGap
    var result: [Float] = []
    var untouched = values[(rows * stride)...].allSatisfy { $0 == Self.guardValue }
    for row in 0..<rows {
      let end = row * stride + plan.outputs
      result += values[(row * stride)..<end]
      untouched = untouched && values[end..<(row * stride + stride)].allSatisfy { $0 == Self.guardValue }
    }
    #expect(untouched, "wrote between or after the rows of the output")
    return result
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same networks in every run.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func floats(_ count: Int, within bound: Float) -> [Float] {
    (0..<count).map { _ in Float.random(in: -bound...bound, using: &self) }
  }

  /// Layers of these widths, weights as PyTorch would draw them.
  mutating func network(
    widths: [Int], activations: [Activation], head: OutputActivation, withoutBias: Int? = nil
  ) throws -> Network {
    var layers: [Network.Layer] = []
    for (index, activation) in activations.enumerated() {
      let (inputs, outputs) = (widths[index], widths[index + 1])
      let bound = 1 / Float(max(1, inputs)).squareRoot()
      layers.append(
        try Network.Layer(
          name: "\(index)", inputs: inputs, outputs: outputs,
          weights: floats(inputs * outputs, within: bound),
          bias: index == withoutBias ? [] : floats(outputs, within: bound), activation: activation))
    }
    return try Network(layers: layers, output: head)
  }
}
