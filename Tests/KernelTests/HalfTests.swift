import CApusKernels
import Testing

extension KernelTests {
  /// Layers whose weights are 16 bits wide.
  @Suite struct HalfTests {
    /// Every number of 16 bits as the only weight of an output.
    @Test(arguments: TestedLevel.available) func weightsAreWidenedExactly(_ level: TestedLevel) {
      let all = (0...UInt16.max).map { $0 }
      for format in [apus_half_float16, apus_half_bfloat16] {
        level.run {
          let y = computed(format, all, rows: 1, inputs: 1, outputs: all.count, x: [1], bias: nil)
          let wrong = all.filter { bits in
            let value = Self.value(bits, format)
            let found = y.start[Int(bits)]
            return !(found == value || found.isNaN && value.isNaN)
          }
          #expect(wrong.isEmpty)
          #expect(y.guardsAreWhole)
        }
      }
    }

    /// Every number of 16 bits is found again, and none of its neighbours is taken for one.
    @Test func onlyNumbersOf16BitsAreNarrowed() {
      for format in [apus_half_float16, apus_half_bfloat16] {
        for bits in 0...UInt16.max {
          let value = Self.value(bits, format)
          var narrowed: UInt16 = 0
          let isExact = withUnsafePointer(to: value) { apus_half_narrow(1, $0, format, &narrowed) }
          #expect(isExact ? narrowed == bits : value.isNaN, "\(bits) is \(narrowed)")
          guard value.isFinite else { continue }
          for neighbour in [value.nextUp, value.nextDown] where neighbour != 0 || value == 0 {
            let isTaken = withUnsafePointer(to: neighbour) { apus_half_narrow(1, $0, format, &narrowed) }
            #expect(!isTaken || Self.value(narrowed, format) == neighbour)
            #expect(!isTaken || format == apus_half_bfloat16 && neighbour.bitPattern & 0xffff == 0)
          }
        }
      }
    }

    /// The order of sums is that of layers in float32, and so is each result.
    @Test(arguments: TestedLevel.available) func layersAreThoseOfWidenedWeights(_ level: TestedLevel) {
      var random = Random(seed: 31)
      for round in 0..<80 {
        let rows = random.integer(1...(round % 5 == 0 ? 40 : 13))
        let (inputs, outputs) = (random.integer(1...(round % 7 == 0 ? 1300 : 90)), random.integer(1...70))
        let format = random.flag() ? apus_half_float16 : apus_half_bfloat16
        // Exponents around that of 1.
        let weights = (0..<inputs * outputs).map { _ in
          format == apus_half_float16
            ? UInt16(random.integer(0x2800...0x3c00)) : UInt16(random.integer(0x3c00...0x3f80))
        }
        let x = random.floats(rows * inputs)
        let bias = random.flag() ? random.floats(outputs) : nil
        level.run {
          let y = computed(format, weights, rows: rows, inputs: inputs, outputs: outputs, x: x, bias: bias)
          var packed = [Float](repeating: 0, count: apus_linear_packed_floats(inputs, outputs))
          apus_linear_pack(weights.map { Self.value($0, format) }, false, outputs, inputs, &packed)
          let expected = GuardedRows(rows: rows, columns: outputs, stride: outputs + 1)
          apus_linear(
            rows, inputs, outputs, x, inputs, packed, bias, apus_activation_gelu, 0, 0, expected.start,
            outputs + 1)
          #expect(y.bitPatterns == expected.bitPatterns, "\(rows) x \(inputs) x \(outputs)")
          #expect(y.guardsAreWhole)
        }
      }
    }

    private func computed(
      _ format: apus_half, _ weights: [UInt16], rows: Int, inputs: Int, outputs: Int, x: [Float],
      bias: [Float]?
    ) -> GuardedRows {
      var packed = [UInt16](repeating: 0, count: apus_linear_half_packed_count(inputs, outputs))
      apus_linear_half_pack(weights, false, outputs, inputs, &packed)
      var turned = packed
      let transposed = (0..<inputs).flatMap { i in (0..<outputs).map { weights[$0 * inputs + i] } }
      apus_linear_half_pack(transposed, true, outputs, inputs, &turned)
      #expect(turned == packed)
      let y = GuardedRows(rows: rows, columns: outputs, stride: outputs + 1)
      let activation = inputs * rows == 1 ? apus_activation_none : apus_activation_gelu
      apus_linear_half(
        rows, inputs, outputs, x, inputs, packed, format, bias, activation, 0, 0, y.start, outputs + 1)
      return y
    }

    private static func value(_ bits: UInt16, _ format: apus_half) -> Float {
      guard format == apus_half_float16 else { return Float(bitPattern: UInt32(bits) << 16) }
      let exponent = Int(bits >> 10 & 31)
      let fraction = Float(bits & 0x3ff)
      let sign: Float = bits & 0x8000 == 0 ? 1 : -1
      switch exponent {
      case 0: return sign * fraction * 0x1p-24
      case 31: return fraction == 0 ? sign * .infinity : .nan
      default:
        return sign * (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
      }
    }
  }
}
