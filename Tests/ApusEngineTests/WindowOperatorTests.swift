import ApusEngine
import Testing

/// Convolutions and pools that no case holds: what is refused, and hostile sizes.
@Suite struct WindowOperatorTests {
  private typealias Values = [String: Attributes.Attribute]

  private func convolution(
    _ attributes: Values, _ shapes: [[Int]] = [[1, 1, 5, 5], [1, 1, 3, 3]]
  ) -> String? {
    OperatorProbe(name: "Conv", attributes: attributes).refusal(types: shapes.map { (.float32, $0) })
  }

  private func pool(
    _ attributes: Values, _ shape: [Int] = [1, 1, 5, 5], _ name: String = "MaxPool"
  ) -> String? {
    OperatorProbe(name: name, attributes: attributes).refusal(types: [(.float32, shape)])
  }

  @Test func valuesThatNoWindowHasAreRefused() {
    let range = "and holds numbers from 1 to 2147483647"
    #expect(convolution(["strides": .ints([0, 1])]) == "strides has 0, \(range)")
    #expect(convolution(["strides": .ints([-1, 1])]) == "strides has -1, \(range)")
    #expect(convolution(["dilations": .ints([0, 1])]) == "dilations has 0, \(range)")
    #expect(convolution(["dilations": .ints([.max, 1])]) == "dilations has \(Int.max), \(range)")
    #expect(
      convolution(["pads": .ints([0, -1, 0, 0])])
        == "pads has -1, and holds numbers from 0 to 2147483647")
    #expect(convolution(["pads": .ints([0, 1])])?.contains("of another rank") == true)
    #expect(convolution(["kernel_shape": .ints([2, 3])])?.contains("of another rank") == true)
    #expect(convolution(["group": .int(0)]) == "group is 0, and is at least 1")
    #expect(convolution(["group": .int(.min)])?.contains("is at least 1") == true)
    #expect(convolution(["auto_pad": .string("SAME")]) == "auto_pad 'SAME' is not known")
    #expect(pool([:]) == "kernel_shape is missing")
    #expect(pool(["kernel_shape": .ints([0, 1])]) == "kernel_shape has 0, \(range)")
    #expect(pool(["kernel_shape": .ints([3])])?.contains("of another rank") == true)
  }

  @Test func shapesThatDoNotFitAreRefused() {
    #expect(convolution([:], [[1, 2, 5, 5], [1, 1, 3, 3]])?.contains("2 channels in 1 groups") == true)
    #expect(convolution([:], [[1, 1, 2, 5], [1, 1, 3, 3]])?.contains("is larger than the input of 2") == true)
    #expect(convolution([:], [[1, 1, 0, 5], [1, 1, 3, 3]])?.contains("is larger than the input of 0") == true)
    #expect(convolution([:], [[1, 1, 5, 5], [1, 1, 0, 3]]) == "a kernel of 0 cannot be moved over 5")
    #expect(convolution([:], [[1, 1], [1, 1]])?.contains("cannot be convolved") == true)
    #expect(
      convolution([:], [[1, 1, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1]])
        == "an input has 1 to 3 spatial dimensions, not 4")
    #expect(convolution([:], [[1, 1, 5, 5], [2, 1, 3, 3], [3]])?.contains("each of 2 channels") == true)
    #expect(pool(["kernel_shape": .ints([1])], [1, 5])?.contains("[N, C, ...]") == true)
    let pads = Attributes.Attribute.ints([2, 0, 0, 0])
    #expect(
      pool(["kernel_shape": .ints([2, 2]), "pads": pads]) == "a pad of 2 holds a whole kernel of 2")
  }

  @Test func attributesOfLaterVersionsAreRefused() {
    let values: Values = ["kernel_shape": .ints([2, 2]), "ceil_mode": .int(1)]
    let refusal = "the attribute 'ceil_mode' is not known here"
    #expect(OperatorProbe(name: "MaxPool", opset: 9, attributes: values).refusal() == refusal)
    #expect(OperatorProbe(name: "MaxPool", opset: 10, attributes: values).refusal() == nil)
    #expect(OperatorProbe(name: "AveragePool", opset: 9, attributes: values).refusal() == refusal)
    let dilated: Values = ["kernel_shape": .ints([2, 2]), "dilations": .ints([2, 2])]
    #expect(
      OperatorProbe(name: "AveragePool", opset: 18, attributes: dilated).refusal()
        == "the attribute 'dilations' is not known here")
    #expect(OperatorProbe(name: "AveragePool", opset: 19, attributes: dilated).refusal() == nil)
  }

  @Test func hugeSizesAreRefusedOrCheap() throws {
    let most = Int(Int32.max)
    // A pad that makes the output as large as the pad is.
    let padded = pool(
      ["kernel_shape": .ints([most, most]), "pads": .ints([most - 1, most - 1, most - 1, most - 1])])
    #expect(padded?.hasSuffix("has too many elements") == true)
    let wide = convolution(["pads": .ints([most, most, most, most])])
    #expect(wide?.hasSuffix("has too many elements") == true)
    #expect(convolution([:], [[1 << 36, 1, 5, 0], [1, 1, 3, 3]])?.contains("larger than the input") == true)
    // A kernel that is almost all padding costs what lies under it.
    let values: Values = [
      "kernel_shape": .ints([most, most]), "strides": .ints([most, most]),
      "pads": .ints([0, 0, most - 1, most - 1]),
    ]
    for name in ["MaxPool", "AveragePool"] {
      let input = try Tensor((0..<9).map { Float($0) }, [1, 1, 3, 3])
      let output = try OperatorProbe(name: name, attributes: values).run([input])
      #expect(numbers(output[0]) == [name == "MaxPool" ? 8 : 4])
    }
  }

  @Test func whatIsNotANumberIsTheMaximum() throws {
    let input = try Tensor([1, .nan, 3, -.infinity, -.infinity] as [Float], [1, 1, 5])
    let probe = OperatorProbe(name: "MaxPool", outputs: 2, attributes: ["kernel_shape": .ints([2])])
    let output = try probe.run([input])
    let found = numbers(output[0])
    #expect(found[0].isNaN && found[1].isNaN && found[2] == 3 && found[3] == -.infinity)
    #expect(numbers(output[1]) == [1, 1, 2, 3])
  }

  @Test func emptyBatchesGiveEmptyOutputs() throws {
    let output = try OperatorProbe(name: "Conv").run([.zeros([0, 2, 5, 5]), .zeros([3, 2, 2, 2])])
    #expect(output[0].type.shape == [0, 3, 4, 4])
    #expect(
      OperatorProbe(name: "GlobalAveragePool").refusal(types: [(.float32, [1, 2, 0])])
        == "a channel of [1, 2, 0] is empty")
    #expect(
      OperatorProbe(name: "GlobalMaxPool").refusal(types: [(.float32, [4])])?.contains("[N, C, ...]") == true)
  }
}
