import CApusKernels
import Glibc
import Testing

/// A linear layer and what a reference makes of it.
private struct Layer {
  let rows: Int
  let inputs: Int
  let outputs: Int
  let x: GuardedRows
  /// [outputs, inputs].
  let weights: [Float]
  let bias: [Float]?
  let activation: apus_activation
  let alpha: Float
  let beta: Float = 0.75
  let outputStride: Int

  static let activations = [
    apus_activation_none, apus_activation_relu, apus_activation_clip, apus_activation_leaky,
    apus_activation_sigmoid, apus_activation_tanh, apus_activation_gelu, apus_activation_gelu_tanh,
  ]

  init(
    rows: Int, inputs: Int, outputs: Int, activation: apus_activation? = nil, _ random: inout Random
  ) {
    self.rows = rows
    self.inputs = inputs
    self.outputs = outputs
    x = GuardedRows(random.floats(rows * inputs), rows: rows, stride: inputs + random.integer(0...4))
    weights = random.floats(outputs * inputs)
    bias = random.flag() ? random.floats(outputs) : nil
    self.activation = activation ?? Self.activations.randomElement(using: &random) ?? apus_activation_none
    alpha = self.activation == apus_activation_clip ? -0.25 : 0.125
    outputStride = outputs + random.integer(0...4)
  }

  /// [inputs, outputs].
  var transposedWeights: [Float] {
    (0..<inputs).flatMap { input in (0..<outputs).map { weights[$0 * inputs + input] } }
  }

  func packed(isTransposed: Bool) -> GuardedRows {
    let packed = GuardedRows(columns: apus_linear_packed_floats(inputs, outputs))
    let weights = isTransposed ? transposedWeights : weights
    apus_linear_pack(weights, isTransposed, outputs, inputs, packed.start)
    return packed
  }

  func computed(from packed: GuardedRows) -> GuardedRows {
    let y = GuardedRows(rows: rows, columns: outputs, stride: outputStride)
    apus_linear(
      rows, inputs, outputs, x.start, x.stride, packed.start, bias, activation, alpha, beta, y.start,
      y.stride)
    return y
  }

  private func activated(_ value: Double) -> Double {
    switch activation {
    case apus_activation_relu: max(0, value)
    case apus_activation_clip: min(Double(beta), max(Double(alpha), value))
    case apus_activation_leaky: value < 0 ? Double(alpha) * value : value
    case apus_activation_sigmoid: 1 / (1 + exp(-value))
    case apus_activation_tanh: tanh(value)
    case apus_activation_gelu: value / 2 * erfc(-value * 0.5.squareRoot())
    case apus_activation_gelu_tanh:
      value / (1 + exp(-2 * (2 / Double.pi).squareRoot() * (value + 0.044715 * value * value * value)))
    default: value
    }
  }

  /// The greatest error, in 2^-24 of the sum of all products' magnitudes and of the result, which bound what
  /// rounding may do.
  func error(of y: GuardedRows) -> Double {
    var worst = 0.0
    weights.withUnsafeBufferPointer { weights in
      for row in 0..<rows {
        let x = x.start + row * x.stride
        for output in 0..<outputs {
          var sum = Double(bias?[output] ?? 0)
          var size = sum.magnitude + 0.001
          var place = output * inputs
          var input = 0
          while input < inputs {
            let product = Double(x[input]) * Double(weights[place])
            sum += product
            size += product.magnitude
            input += 1
            place += 1
          }
          let exact = activated(sum)
          let error = (Double(y[row, output]) - exact).magnitude
          worst = max(worst, error.isNaN ? .infinity : error / (size + exact.magnitude) * 0x1p24)
        }
      }
    }
    return worst
  }
}

extension KernelTests {
  @Suite struct LinearTests {
    private func expectCorrect(_ layer: Layer, _ level: TestedLevel, _ comment: Comment) {
      level.run {
        let packed = layer.packed(isTransposed: false)
        let y = layer.computed(from: packed)
        #expect(layer.error(of: y) < 10, comment)
        #expect(y.guardsAreWhole && packed.guardsAreWhole && layer.x.guardsAreWhole, comment)
      }
    }

    @Test(arguments: TestedLevel.available)
    func layersOfFewRowsAgreeWithTheReference(level: TestedLevel) {
      var random = Random(seed: 1)
      let widths = [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 50]
      for rows in 1...40 {
        for turn in 0..<4 {
          let outputs = widths[(4 * rows + turn) % widths.count]
          let inputs = random.integer(1...37)
          let layer = Layer(rows: rows, inputs: inputs, outputs: outputs, &random)
          expectCorrect(layer, level, "\(rows) × \(inputs) × \(outputs), \(layer.activation)")
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func dotProductsAgreeWithTheReference(level: TestedLevel) {
      var random = Random(seed: 7)
      for inputs in Array(0...70) + [127, 128, 129, 1000] {
        let outputs = inputs % 9
        let layer = Layer(
          rows: 1, inputs: inputs, outputs: outputs, activation: apus_activation_none, &random)
        let weights = GuardedRows(layer.weights)
        let y = GuardedRows(columns: outputs)
        level.run {
          apus_dot_products(inputs, outputs, layer.x.start, weights.start, layer.bias, y.start)
        }
        #expect(layer.error(of: y) < 10 && y.guardsAreWhole, "\(inputs) × \(outputs)")
      }
    }

    @Test(arguments: TestedLevel.available)
    func longSumsAreAddedInBlocks(level: TestedLevel) {
      var random = Random(seed: 2)
      for (rows, inputs, outputs) in [(1, 3000, 33), (13, 1025, 70), (20, 2100, 18), (64, 1500, 3)] {
        let layer = Layer(rows: rows, inputs: inputs, outputs: outputs, &random)
        expectCorrect(layer, level, "\(rows) × \(inputs) × \(outputs), \(layer.activation)")
      }
    }

    @Test(arguments: TestedLevel.available)
    func bothLayoutsOfWeightsPackToTheSame(level: TestedLevel) {
      var random = Random(seed: 3)
      for outputs in 1...40 {
        for inputs in [1, 2, 3, 4, 5, 8, 21] {
          let layer = Layer(rows: 1, inputs: inputs, outputs: outputs, &random)
          level.run {
            let packed = layer.packed(isTransposed: false)
            let other = layer.packed(isTransposed: true)
            #expect(packed.bitPatterns == other.bitPatterns, "\(inputs) × \(outputs)")
            #expect(packed.guardsAreWhole && other.guardsAreWhole)
            for (place, value) in packed.row(0).enumerated() {
              let input = place / 16 % inputs
              let output = place / 16 / inputs * 16 + place % 16
              #expect(value == (output < outputs ? layer.weights[output * inputs + input] : 0))
            }
          }
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func weightsPackedAtAnotherLevelCompute(level: TestedLevel) {
      var random = Random(seed: 4)
      let layer = Layer(rows: 19, inputs: 45, outputs: 37, &random)
      for other in TestedLevel.available {
        var packed: GuardedRows?
        other.run { packed = layer.packed(isTransposed: true) }
        level.run { #expect(packed.map { layer.error(of: layer.computed(from: $0)) } ?? .infinity < 10) }
      }
    }

    @Test(arguments: TestedLevel.available)
    func aLayerWithoutInputsIsItsBiasAndOneWithoutRowsWritesNothing(level: TestedLevel) {
      var random = Random(seed: 5)
      let packed = GuardedRows(columns: 16)
      let bias = random.floats(5)
      level.run {
        let y = GuardedRows(rows: 9, columns: 5, stride: 6)
        apus_linear(9, 0, 5, packed.start, 0, packed.start, bias, apus_activation_none, 0, 0, y.start, 6)
        for row in 0..<9 { #expect(y.row(row) == bias) }
        #expect(y.guardsAreWhole)
        let none = GuardedRows(rows: 0, columns: 5)
        apus_linear(0, 3, 5, packed.start, 3, packed.start, bias, apus_activation_none, 0, 0, none.start, 5)
        #expect(none.guardsAreWhole)
      }
    }

    @Test(arguments: TestedLevel.available)
    func aNaNStaysWhateverTheActivation(level: TestedLevel) {
      var input: Float = .nan
      let weights: [Float] = [1, 2, 3]
      for activation in Layer.activations {
        level.run {
          let packed = GuardedRows(columns: apus_linear_packed_floats(1, 3))
          apus_linear_pack(weights, false, 3, 1, packed.start)
          let y = GuardedRows(columns: 3)
          apus_linear(1, 1, 3, &input, 1, packed.start, nil, activation, -1, 1, y.start, 3)
          #expect(y.isNaN, "\(activation)")
        }
      }
    }
  }
}
