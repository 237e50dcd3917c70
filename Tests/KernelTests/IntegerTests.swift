import CApusKernels
import Testing

extension KernelTests {
  /// Kernels of 8-bit numbers: integers are exact, floats those of one operation after the other.
  @Suite struct IntegerTests {
    @Test(arguments: TestedLevel.available) func productsAreExact(_ level: TestedLevel) {
      var random = Random(seed: 21)
      for index in 0..<160 {
        let product = IntegerProduct(
          rows: random.integer(1...(index % 4 == 0 ? 40 : 13)),
          inputs: random.integer(1...(index % 5 == 0 ? 600 : 70)),
          outputs: random.integer(1...70), isExtreme: index % 3 == 0, &random)
        for allowsDots in [true, false] {
          level.run {
            if !allowsDots, level != .wide { apus_kernels_limit(apus_kernels_level(), false) }
            #expect(product.isRight(), "\(product.rows) x \(product.inputs) x \(product.outputs)")
          }
        }
      }
    }

    @Test func sumsWrap() {
      // 2^17 products of -128 · (127 + 255) are under -2^32.
      let inputs = 1 << 17
      let weights = [Int8](repeating: -128, count: inputs)
      let x = [Int8](repeating: 127, count: inputs)
      var packed = [Int8](repeating: 0, count: apus_integer_packed_bytes(inputs, 1))
      apus_integer_pack(weights, true, false, 1, inputs, &packed)
      for level in TestedLevel.available {
        level.run {
          var sum: Int32 = 0
          var workspace = [Int64](repeating: 0, count: apus_integer_workspace_bytes(1, inputs) / 8 + 1)
          apus_integer_product(1, inputs, 1, x, true, inputs, -255, packed, nil, &sum, 1, &workspace)
          #expect(sum == Int32(truncatingIfNeeded: inputs * -128 * (127 + 255)), "\(level)")
        }
      }
    }

    @Test(arguments: TestedLevel.available) func quantizationRoundsHalfToEven(_ level: TestedLevel) {
      var random = Random(seed: 22)
      for round in 0..<120 {
        let isSigned = random.flag()
        let scale: Float = [0.5, 0, .nan, .infinity, -0.25, .leastNonzeroMagnitude, 0.1, 3][round % 8]
        var quantization = Self.quantization(scale, isSigned, &random)
        let halves = (0..<random.integer(1...70)).map { _ in Float(random.integer(-700...700)) / 4 }
        let hard: [Float] = [
          .nan, .infinity, -.infinity, 0, -0.0, 1e38, -1e38, .leastNonzeroMagnitude, 2_147_483_648,
        ]
        // Where a number lies in the middle of two, or next to it.
        let middles = (0..<20).flatMap { _ in
          let middle = (Float(random.integer(-300...300)) + 0.5) * scale
          return [middle, middle.nextUp, middle.nextDown]
        }
        let values = halves + middles + hard
        level.run {
          let bytes = GuardedRows(columns: values.count)
          let start = UnsafeMutableRawPointer(bytes.start).assumingMemoryBound(to: UInt8.self)
          apus_quantize(values.count, values, &quantization, start)
          for (index, value) in values.enumerated() {
            let expected = Self.rounded(value / scale, quantization)
            #expect(start[index] == UInt8(truncatingIfNeeded: expected), "\(value) / \(scale)")
          }
          // Nothing behind the last byte is written.
          let next = (values.count + 3) / 4
          #expect(bytes.start[next].bitPattern == 0xcdcd_cdcd)

          let floats = GuardedRows(columns: values.count)
          apus_dequantize(values.count, start, &quantization, floats.start)
          for index in values.indices {
            let number = isSigned ? Int32(Int8(bitPattern: start[index])) : Int32(start[index])
            let expected = Float(number - quantization.zero) * scale
            #expect(floats.start[index] == expected || floats.start[index].isNaN && expected.isNaN)
          }
          #expect(floats.guardsAreWhole)
        }
      }
    }

    @Test(arguments: TestedLevel.available) func sumsBecomeFloatsStepByStep(_ level: TestedLevel) {
      var random = Random(seed: 23)
      for _ in 0..<150 {
        let (rows, outputs) = (random.integer(1...5), random.integer(1...50))
        let sums = (0..<rows * outputs).map { _ in
          Int32(truncatingIfNeeded: random.next() >> UInt64(random.integer(0...40)))
        }
        let factors = random.floats(outputs, 0.0001...0.1)
        let bias = random.floats(outputs)
        let hasBias = random.flag()
        let kinds = [apus_activation_none, apus_activation_relu, apus_activation_clip, apus_activation_leaky]
        var scaling = apus_integer_scaling()
        scaling.scale = random.flag() ? 1 : 0.37
        scaling.has_step = random.flag()
        scaling.step = Self.quantization(0.05, random.flag(), &random)
        scaling.activation = kinds[random.integer(0...3)]
        (scaling.alpha, scaling.beta) = (scaling.activation == apus_activation_clip ? -0.25 : 0.125, 0.75)
        level.run {
          let y = GuardedRows(columns: rows * outputs)
          factors.withUnsafeBufferPointer { factors in
            bias.withUnsafeBufferPointer { bias in
              scaling.factors = factors.baseAddress
              scaling.bias = hasBias ? bias.baseAddress : nil
              apus_integer_scale(rows, outputs, sums, &scaling, y.start)
            }
          }
          for (index, sum) in sums.enumerated() {
            let output = index % outputs
            let value = Self.value(sum, factors[output], hasBias ? bias[output] : nil, scaling)
            #expect(y.start[index] == value, "\(sum)")
          }
          #expect(y.guardsAreWhole)
        }
      }
    }

    @Test(arguments: TestedLevel.available) func rangesHoldAllNumbersAndZero(_ level: TestedLevel) {
      var random = Random(seed: 24)
      for round in 0..<60 {
        var values = random.floats(
          random.integer(1...100), round % 3 == 0 ? 1...2 : round % 3 == 1 ? -2 ... -1 : -3...5)
        if round % 7 == 0 { values[values.count / 2] = .nan }
        if round % 11 == 0 { values = values.map { _ in 0 } }
        let (low, high) = (values.filter { $0 < 0 }.min() ?? 0, values.filter { $0 > 0 }.max() ?? 0)
        let scale = low == high ? 1 : (high - low) / 255
        level.run {
          let found = apus_dynamic_quantization(values.count, values)
          #expect(found.scale == scale)
          #expect(found.zero == Int32((-low / scale).rounded(.toNearestOrEven)))
          #expect(found.low == 0 && found.high == 255)
        }
      }
      level.run {
        let found = apus_dynamic_quantization(2, [-.infinity, 3])
        #expect(found.scale == .infinity && found.zero == 0)
      }
    }

    private static func quantization(
      _ scale: Float, _ isSigned: Bool, _ random: inout Random
    ) -> apus_quantization {
      let (low, high) = isSigned ? (-128, 127) : (0, 255)
      return apus_quantization(
        scale: scale, zero: Int32(random.integer(low...high)), low: Int32(low), high: Int32(high))
    }

    private static func rounded(_ value: Float, _ quantization: apus_quantization) -> Int32 {
      let moved = value.rounded(.toNearestOrEven) + Float(quantization.zero)
      if !(moved > Float(quantization.low)) { return quantization.low }
      return moved >= Float(quantization.high) ? quantization.high : Int32(moved)
    }

    private static func value(
      _ sum: Int32, _ factor: Float, _ bias: Float?, _ scaling: apus_integer_scaling
    ) -> Float {
      var value = Float(sum) * (factor * scaling.scale)
      if scaling.has_step {
        value = Float(rounded(value, scaling.step) - scaling.step.zero) * scaling.step.scale
      }
      if let bias { value += bias }
      switch scaling.activation {
      case apus_activation_relu: return max(0, value)
      case apus_activation_clip: return min(scaling.beta, max(scaling.alpha, value))
      case apus_activation_leaky: return value < 0 ? value * scaling.alpha : value
      default: return value
      }
    }
  }
}

/// A product and what it has to be.
private struct IntegerProduct {
  let rows: Int
  let inputs: Int
  let outputs: Int
  let isSigned: Bool
  let areWeightsSigned: Bool
  let x: [UInt8]
  let stride: Int
  let zero: Int32
  /// [outputs, inputs].
  let weights: [UInt8]
  /// As they are meant; nil: 0 for weights as they are packed.
  let zeros: [Int32]?
  let isTransposed: Bool
  let yStride: Int

  /// - Parameter isExtreme: whether all numbers are the least or the greatest, where sums of pairs might
  ///   saturate.
  init(rows: Int, inputs: Int, outputs: Int, isExtreme: Bool, _ random: inout Random) {
    (self.rows, self.inputs, self.outputs) = (rows, inputs, outputs)
    isSigned = random.flag()
    areWeightsSigned = random.flag()
    stride = inputs + random.integer(0...3)
    let ends: [UInt8] = [0, 127, 128, 255]
    x = (0..<rows * stride).map { _ in
      isExtreme ? ends[random.integer(0...3)] : UInt8(random.integer(0...255))
    }
    weights = (0..<inputs * outputs).map { _ in
      isExtreme ? ends[random.integer(0...3)] : UInt8(random.integer(0...255))
    }
    zero = Int32(isSigned ? random.integer(-128...127) : random.integer(0...255))
    zeros = random.flag() ? (0..<outputs).map { _ in Int32(random.integer(-128...127)) } : nil
    isTransposed = random.flag()
    yStride = outputs + random.integer(0...3)
  }

  private func number(_ byte: UInt8, isSigned: Bool) -> Int32 {
    isSigned ? Int32(Int8(bitPattern: byte)) : Int32(byte)
  }

  func isRight() -> Bool {
    let laid =
      isTransposed ? (0..<inputs).flatMap { i in (0..<outputs).map { weights[$0 * inputs + i] } } : weights
    let packed = GuardedRows(columns: (apus_integer_packed_bytes(inputs, outputs) + 3) / 4)
    let start = UnsafeMutableRawPointer(packed.start).assumingMemoryBound(to: Int8.self)
    apus_integer_pack(laid, areWeightsSigned, isTransposed, outputs, inputs, start)
    let workspace = GuardedRows(columns: (apus_integer_workspace_bytes(rows, inputs) + 3) / 4)
    let y = GuardedRows(rows: rows, columns: outputs, stride: yStride)
    let sums = UnsafeMutableRawPointer(y.start).assumingMemoryBound(to: Int32.self)
    apus_integer_product(
      rows, inputs, outputs, x, isSigned, stride, zero, start, zeros, sums, yStride, workspace.start)
    guard packed.guardsAreWhole, workspace.guardsAreWhole, y.guardsAreWhole else { return false }
    for row in 0..<rows {
      for output in 0..<outputs {
        var sum: Int32 = 0
        for input in 0..<inputs {
          let weight =
            number(weights[output * inputs + input], isSigned: areWeightsSigned)
            - (areWeightsSigned ? 0 : 128)
          sum &+=
            (number(x[row * stride + input], isSigned: isSigned) - zero) &* (weight - (zeros?[output] ?? 0))
        }
        if sums[row * yStride + output] != sum { return false }
      }
    }
    return true
  }
}
