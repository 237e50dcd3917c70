import ApusEngine
import Foundation
import Testing

/// Activations and heads on numbers that break careless code.
@Suite struct FunctionTests {
  /// A plan that passes its inputs through a head, or an activation, alone.
  private func identity(_ width: Int, _ activation: Activation, _ head: OutputActivation) throws -> Plan {
    var weights = [Float](repeating: 0, count: width * width)
    for index in 0..<width { weights[index * width + index] = 1 }
    let layer = try Network.Layer(
      name: "identity", inputs: width, outputs: width, weights: weights, bias: [], activation: activation)
    return try Plan(try Network(layers: [layer], output: head), planning: .fixed(.sgemv))
  }

  private func probabilities(_ logits: [Float], _ head: OutputActivation) throws -> [Float] {
    let plan = try identity(logits.count, .none, head)
    var output = logits
    output.withUnsafeMutableBufferPointer { output in
      logits.withUnsafeBufferPointer {
        plan.probabilities(
          logits: $0.baseAddress!, logitsStride: logits.count, rows: 1, output: output.baseAddress!,
          outputStride: logits.count)
      }
    }
    return output
  }

  @Test(arguments: Activation.allCases) func activationsAgreeWithDoublePrecision(_ activation: Activation)
    throws
  {
    let plan = try identity(1, activation, .none)
    let inputs =
      stride(from: Float(-30), through: 30, by: 0.0625).map { $0 } + [-1e30, 1e30, 100, -100, 1e-30]
    let found = Caller(plan: plan).compute(inputs, rows: inputs.count).logits
    #expect(worstError(found, inputs.map { Reference.apply(activation, Double($0)) }) < 3e-7)
  }

  @Test(arguments: Activation.allCases) func notANumberStaysSo(_ activation: Activation) throws {
    let found = Caller(plan: try identity(1, activation, .none)).compute([.nan, .infinity, 1], rows: 3).logits
    #expect(found[0].isNaN && !found[1].isNaN && found[2].isFinite)
  }

  @Test func hugeLogitsGiveProbabilities() throws {
    #expect(try probabilities([3e38, -3e38, 0], .softmax) == [1, 0, 0])
    #expect(try probabilities([-3e38, -3e38], .softmax) == [0.5, 0.5])
    #expect(try probabilities([-.infinity, 0, 0], .softmax) == [0, 0.5, 0.5])
    #expect(try probabilities([3e38, -3e38, 0], .sigmoid) == [1, 0, 0.5])
    #expect(try probabilities([.infinity, -.infinity], .sigmoid) == [1, 0])
  }

  @Test func aRowWithoutProbabilitiesIsNotANumber() throws {
    for logits in [[.nan, 1, 2], [.infinity, 1, 2], [-.infinity, -.infinity]] as [[Float]] {
      #expect(try probabilities(logits, .softmax).allSatisfy(\.isNaN))
    }
    let independent = try probabilities([.nan, 0], .sigmoid)
    #expect(independent[0].isNaN && independent[1] == 0.5)
  }

  @Test func thousandsOfClassesSumToOne() throws {
    var generator = SeededGenerator(seed: 3)
    let logits = generator.floats(900, within: 10)
    let found = try probabilities(logits, .softmax)
    #expect(abs(found.reduce(0.0) { $0 + Double($1) } - 1) < 1e-6)
    #expect(
      worstError(found, Reference.probabilities(.softmax, logits.map(Double.init), columns: 900)) < 1e-7)
  }
}
