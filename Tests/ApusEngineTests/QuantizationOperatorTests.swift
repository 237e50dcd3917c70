import ApusEngine
import Testing

/// Operators of quantized numbers, and those that bring numbers to a common scale, beyond what their cases
/// hold.
@Suite struct QuantizationOperatorTests {
  @Test func roundingIsToEvenAndStaysInRange() throws {
    let values: [Float] = [-0.5, 0.5, 1.5, 2.5, -1.5, 300, -300, .infinity, -.infinity, .nan]
    let inputs = [try Tensor(values, [10]), try Tensor([1] as [Float], [])]
    let probe = OperatorProbe(name: "QuantizeLinear")
    let signed = try probe.run(inputs + [Tensor([Int8(0)], [])])
    #expect(numbers(signed[0]) == [0, 0, 2, 2, -2, 127, -128, 127, -128, -128])
    let unsigned = try probe.run(inputs + [Tensor([UInt8(10)], [])])
    #expect(numbers(unsigned[0]) == [10, 10, 12, 12, 8, 255, 0, 255, 0, 0])
    let wide = try probe.run(inputs + [Tensor([UInt16.max], [])])
    #expect(numbers(wide[0]) == [65535, 65535, 65535, 65535, 65533, 65535, 65235, 65535, 0, 0])
  }

  @Test func aScaleOfZeroOrOfNothingDoesNoHarm() throws {
    let inputs = [try Tensor([-1, 0, 1] as [Float], [3])]
    for (scale, wanted) in [(Float(0), [0.0, 0, 255]), (.nan, [0, 0, 0]), (-1, [1, 0, 0])] {
      let output = try OperatorProbe(name: "QuantizeLinear").run(inputs + [Tensor([scale], [])])
      #expect(numbers(output[0]) == wanted)
    }
  }

  @Test func dynamicScalesOfOddInputs() throws {
    func run(_ values: [Float]) throws -> [[Double]] {
      try OperatorProbe(name: "DynamicQuantizeLinear", opset: 11, outputs: 3)
        .run([Tensor(values, [values.count])]).map(numbers)
    }
    #expect(try run([]) == [[], [1], [0]])
    #expect(try run([0, 0]) == [[0, 0], [1], [0]])
    #expect(try run([255, 0, 2.5]) == [[255, 0, 2], [1], [0]])
    #expect(try run([.infinity, 1])[0] == [0, 0])
  }

  @Test func zeroPointsOfTheWidestNumbersAreSubtractedExactly() throws {
    let probe = OperatorProbe(name: "DequantizeLinear")
    let output = try probe.run([
      Tensor([Int32.min, .max], [2]), Tensor([1] as [Float], []), Tensor([Int32.max], []),
    ])
    #expect(numbers(output[0]) == [-4294967295, 0].map { Double(Float($0)) })
  }

  @Test func layoutsThatDoNotFitAreRefused() {
    func refusal(
      _ values: [String: Attributes.Attribute], _ scales: [Int], _ zeros: [Int]? = nil
    ) -> String? {
      OperatorProbe(name: "QuantizeLinear", attributes: values).refusal(types: [
        (.float32, [2, 3, 4]), (.float32, scales), zeros.map { (.uint8, $0) },
      ])
    }
    #expect(
      refusal([:], [4]) == "scales of shape [4] are not one for each of axis 1 of [2, 3, 4]")
    #expect(refusal(["axis": .int(-1)], [4]) == nil)
    #expect(
      refusal(["axis": .int(3)], [4]) == "there is no axis 3 in a shape of 3 dimensions")
    #expect(refusal(["axis": .int(.min)], [4])?.contains("there is no axis") == true)
    #expect(
      refusal([:], [3], [2]) == "y_zero_point of shape [2] is not like y_scale of [3]")
    #expect(refusal(["block_size": .int(2)], [2, 2, 4]) == nil)
    #expect(refusal(["block_size": .int(2)], [2, 3, 4])?.contains("one for each block of 2") == true)
    #expect(refusal(["block_size": .int(-1)], [1]) == "block_size is -1")
    #expect(refusal(["block_size": .int(.max)], [2, 1, 4]) == nil)
    #expect(
      refusal(["output_dtype": .int(3)], [], []) == "y_zero_point is uint8, which output_dtype is not")
    #expect(refusal(["output_dtype": .int(17)], []) == "the output_dtype 17 is not computed here")
  }

  @Test func attributesOfLaterVersionsAreRefused() {
    func refusal(_ name: String, _ opset: Int, _ attribute: String) -> String? {
      OperatorProbe(name: name, opset: opset, attributes: [attribute: .int(1)]).refusal()
    }
    for name in ["QuantizeLinear", "DequantizeLinear"] {
      #expect(refusal(name, 10, "axis") == "the attribute 'axis' is not known here")
      #expect(refusal(name, 13, "axis") == nil)
      #expect(refusal(name, 19, "block_size") == "the attribute 'block_size' is not known here")
      #expect(refusal(name, 21, "block_size") == nil)
    }
    #expect(refusal("QuantizeLinear", 18, "saturate") == "the attribute 'saturate' is not known here")
    #expect(refusal("QuantizeLinear", 19, "saturate") == nil)
    #expect(
      refusal("DequantizeLinear", 22, "output_dtype") == "the attribute 'output_dtype' is not known here")
    #expect(refusal("DequantizeLinear", 23, "output_dtype") == nil)
    #expect(refusal("QuantizeLinear", 23, "precision") == nil)
  }

  @Test func zeroPointsOfRowsAndColumns() throws {
    let left = try Tensor([1, 2, 3, 4] as [UInt8], [2, 2])
    let right = try Tensor([1, 0, 0, 1] as [UInt8], [2, 2])
    let probe = OperatorProbe(name: "MatMulInteger")
    let rows = try probe.run([left, right, Tensor([1, 2] as [UInt8], [2])])
    #expect(numbers(rows[0]) == [0, 1, 1, 2])
    let columns = try probe.run([left, right, nil, Tensor([0, 1] as [UInt8], [1, 2])])
    #expect(numbers(columns[0]) == [1, -1, 3, -3])
    #expect(
      probe.refusal([left, right, try? Tensor([1, 2, 3] as [UInt8], [3])])
        == "a_zero_point of shape [3] is neither one number nor one for each of 2 rows")
    #expect(
      probe.refusal([left, right, try? Tensor([Int8(1)], [])]) == "a_zero_point is int8, but A is uint8")
  }

  @Test func quantizedConvolutionsRefuseWhatDoesNotFit() {
    let probe = OperatorProbe(name: "QLinearConv")
    let scalar: (ElementType, [Int])? = (.float32, [])
    func refusal(_ zeros: [Int], _ bias: [Int]) -> String? {
      probe.refusal(types: [
        (.uint8, [1, 1, 4, 4]), scalar, (.uint8, []), (.int8, [2, 1, 2, 2]), scalar, (.int8, zeros), scalar,
        (.uint8, []), (.int32, bias),
      ])
    }
    #expect(refusal([2], [2]) == nil)
    #expect(refusal([3], [2])?.hasSuffix("one for each of 2 channels") == true)
    #expect(refusal([2], [1]) == "B of shape [1] is not one number for each of 2 channels")
    #expect(
      OperatorProbe(name: "ConvInteger", attributes: ["strides": .ints([0, 0])]).refusal()?
        .hasPrefix("strides has 0") == true)
  }

  @Test func batchesMayBeNormalizedByThemselves() throws {
    let probe = OperatorProbe(
      name: "BatchNormalization", opset: 15, outputs: 3,
      attributes: ["training_mode": .int(1), "momentum": .float(0.5), "epsilon": .float(0)])
    let one = try Tensor([1] as [Float], [1])
    let found = try probe.run([Tensor([1, 3] as [Float], [2, 1]), one, .zeros([1]), .zeros([1]), one])
    #expect(found.map { numbers($0) } == [[-1, 1], [1], [1]])
  }

  @Test func normalizationsRefuseWhatDoesNotFit() {
    func refusal(
      _ name: String, _ shapes: [[Int]], _ values: [String: Attributes.Attribute] = [:], outputs: Int = 1
    ) -> String? {
      OperatorProbe(name: name, outputs: outputs, attributes: values)
        .refusal(types: shapes.map { (.float32, $0) })
    }
    let shapes = [[2, 3, 4], [3], [3], [3], [3]]
    #expect(refusal("BatchNormalization", shapes) == nil)
    #expect(
      refusal("BatchNormalization", shapes, outputs: 3)
        == "without training_mode, BatchNormalization has one output, not 3")
    #expect(
      refusal("BatchNormalization", shapes, ["training_mode": .int(1)], outputs: 4)
        == "it has at most 3 outputs, not 4")
    #expect(refusal("BatchNormalization", [[2, 3], [3], [2], [3], [3]])?.hasPrefix("B of shape [2]") == true)
    #expect(
      OperatorProbe(name: "BatchNormalization", opset: 9, attributes: ["spatial": .int(0)]).refusal()
        == "the attribute 'spatial' is not known here")
    #expect(
      refusal("LayerNormalization", [[2, 3], [4]]) == "shapes [4] and [2, 3] cannot be broadcast")
    #expect(
      refusal("LayerNormalization", [[1, 3], [2, 3]])
        == "Scale of shape [2, 3] cannot be broadcast to [3]")
    #expect(refusal("LayerNormalization", [[2, 3], [3]], ["axis": .int(2)])?.contains("no axis 2") == true)
    #expect(refusal("LayerNormalization", [[2, 3], [3]], ["stash_type": .int(10)])?.contains("stash") == true)
    #expect(
      refusal("GroupNormalization", [[2, 5, 4], [2], [2]], ["num_groups": .int(2)])
        == "5 channels cannot be in 2 groups")
    #expect(refusal("GroupNormalization", [], ["num_groups": .int(0)]) == "num_groups is missing or below 1")
    #expect(refusal("LRN", [], ["size": .int(0)]) == "size is missing or below 1")
    #expect(refusal("LRN", [[1 << 40]], ["size": .int(1 << 30)])?.contains("[N, C, ...]") == true)
  }

  @Test func normalizationOfNothing() throws {
    let outputs = try OperatorProbe(name: "LayerNormalization", outputs: 3)
      .run([.zeros([2, 0]), .zeros([0])])
    #expect(outputs.map(\.type.shape) == [[2, 0], [2, 1], [2, 1]])
    #expect(numbers(outputs[1]).allSatisfy { $0.isNaN })
  }
}
