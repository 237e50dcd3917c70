import ApusEngine
import Testing

/// In what memory a plan keeps weights, and how wide.
@Suite struct WeightMemoryTests {
  /// Bytes that a test changes behind the back of whoever keeps them.
  private final class Changeable: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    init(_ values: [Float]) {
      bytes = .allocate(byteCount: 4 * values.count, alignment: 64)
      values.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }
    deinit { bytes.deallocate() }

    func tensor(_ shape: [Int]) throws -> Tensor {
      Tensor(try TensorType(.float32, shape), in: UnsafeRawBufferPointer(bytes), keeping: self)
    }
  }

  /// A file may be overwritten while a model that was read from it is served.
  @Test(arguments: Kernel.allCases.map { Planning.fixed($0) } + [.measured])
  func whatAPlanReadsIsItsOwn(_ planning: Planning) throws {
    var generator = SeededGenerator(seed: 5)
    let weights = Changeable(generator.floats(40 * 30, within: 1))
    let bias = Changeable(generator.floats(30, within: 1))
    let layer = Network.Layer(
      name: "0", inputs: 40, outputs: 30, weights: try weights.tensor([30, 40]),
      bias: try bias.tensor([30]), activation: .none)
    let plan = try Plan(Classifier(Network(layers: [layer], output: .none)), planning: planning)
    let input = generator.floats(9 * 40, within: 1)
    let before = Caller(plan: plan).compute(input, rows: 9)
    for memory in [weights.bytes, bias.bytes] { memory.initializeMemory(as: UInt8.self, repeating: 0xff) }
    let after = Caller(plan: plan).compute(input, rows: 9)
    #expect(before.logits == after.logits && !after.logits.contains { $0.isNaN })
  }

  /// Weights that 16 bits are enough for take half the memory, whatever type they come in.
  @Test(arguments: [ElementType.float16, .bfloat16]) func weightsOf16BitsStayNarrow(_ element: ElementType)
    throws
  {
    var generator = SeededGenerator(seed: 6)
    let bits = (0..<300 * 200).map { _ in
      UInt16.random(in: 0x2c00...0x3800, using: &generator) | (Bool.random(using: &generator) ? 0x8000 : 0)
    }
    let numbers = bits.map { element == .float16 ? Float(float16: $0) : Float(bfloat16: $0) }
    let narrow = Tensor(try TensorType(element, [200, 300]))
    narrow.start.copyMemory(from: bits, byteCount: 2 * bits.count)
    let bias = generator.floats(200, within: 1)
    func network(_ weights: Tensor) throws -> Network {
      let layer = Network.Layer(
        name: "0", inputs: 300, outputs: 200, weights: weights, bias: try Tensor(bias, [200]),
        activation: .relu)
      return try Network(layers: [layer], output: .none)
    }
    let wide = try network(Tensor(numbers, [200, 300]))
    var inexact = numbers
    inexact[inexact.count - 1] = 0.1
    let plans = try [network(narrow), wide].map { try Plan($0, planning: .measured) }
    for plan in plans {
      #expect(plan.choices == ["0: Linear 300 -> 200 relu, packed half"])
      #expect(plan.weightsBytes < 3 * bits.count)
      for rows in [1, 5, 130] {
        let input = generator.floats(rows * 300, within: 1)
        let found = Caller(plan: plan, inputGap: 3, outputGap: 2).compute(input, rows: rows)
        #expect(worstError(found.logits, Reference.logits(wide, input, rows: rows)) < 4e-6)
      }
    }
    for plan in [
      try Plan(network(Tensor(inexact, [200, 300])), planning: .measured),
      try Plan(network(narrow), planning: .fixed(.sgemm)),
    ] {
      #expect(!plan.choices[0].contains("half") && plan.weightsBytes >= 4 * bits.count)
    }
    let input = generator.floats(300, within: 1)
    let byBLAS = Caller(plan: try Plan(network(narrow), planning: .fixed(.sgemv))).compute(input, rows: 1)
    #expect(worstError(byBLAS.logits, Reference.logits(wide, input, rows: 1)) < 4e-6)
    let plain = try Program(plainly: Classifier(network(narrow)).graph)
    #expect(plain.descriptions == ["0: Linear"])
  }
}
