import ApusEngine
import Testing

/// Operators with attributes and inputs by chance, most of them senseless: each refuses them or computes, and
/// none ends the process. The address sanitizer, where it is on, sees what leaves a tensor.
@Suite struct HostileOperatorTests {
  /// Numbers that careless code multiplies, negates or counts to.
  private static let numbers: [Int] = [
    0, 1, -1, 2, -2, 3, 4, 5, 7, 8, 9, -8, 1 << 31, -1 << 31, 1 << 40, 1 << 62, .max, .min, .min + 1,
  ]
  private static let sizes = [0, 1, 1, 2, 2, 3, 4]
  private static let attributes = [
    "axis", "axes", "keepdims", "noop_with_empty_axes", "select_last_index", "largest", "k", "perm", "starts",
    "ends", "pads", "split", "num_outputs", "to", "allowzero", "batch_dims", "start", "end", "fmod", "mode",
    "strides", "dilations", "kernel_shape", "group", "ceil_mode", "classlabels_int64s",
  ]

  /// A node that computes, of which parts are exchanged: what is sensible is not found by chance.
  private struct Seed {
    let opset: Int
    let attributes: [String: Attributes.Attribute]
    let inputs: [Tensor?]
  }

  private static func seeds(_ name: String) throws -> [Seed] {
    func pair<Element: TensorElement>(_ numbers: [Element]) throws -> [Tensor?] {
      [try Tensor(numbers, [2]), try Tensor(numbers, [2])]
    }
    switch name {
    case "Concat":
      return [Seed(opset: 13, attributes: ["axis": .int(0)], inputs: try pair([1, 2] as [Float]))]
    case "OneHot":
      let inputs = try pair([1, 0] as [Int64]) + [Tensor([3] as [Int64], [])]
      return [Seed(opset: 13, attributes: [:], inputs: [inputs[0], inputs[2], inputs[1]])]
    case "Or", "Xor":
      return [Seed(opset: 13, attributes: [:], inputs: try pair([TensorBool(true), TensorBool(false)]))]
    case "Range":
      let numbers: [Int64] = [1, 9, 2]
      return [Seed(opset: 13, attributes: [:], inputs: try numbers.map { try Tensor([$0], []) })]
    case "ai.onnx.ml.ZipMap":
      let labels: [String: Attributes.Attribute] = ["classlabels_int64s": .ints([5, 7])]
      return [Seed(opset: 13, attributes: labels, inputs: [try Tensor([0.25, 0.75] as [Float], [1, 2])])]
    default:
      return try (cases[name] ?? []).map { item in
        Seed(
          opset: item.opset, attributes: try item.attributes.mapValues { try $0.attribute() },
          inputs: try item.inputs.map { try $0?.tensor() })
      }
    }
  }

  private static let cases: [String: [OperatorCase]] = {
    let cases = OperatorCase.families.flatMap { (try? OperatorCase.read(family: $0)) ?? [] }
    return Dictionary(grouping: cases) { $0.domain.isEmpty ? $0.operator : "\($0.domain).\($0.operator)" }
  }()

  private struct Chance {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    mutating func number() -> Int {
      below(3) > 0 ? below(4) - 1 : HostileOperatorTests.numbers[below(HostileOperatorTests.numbers.count)]
    }
    mutating func shape() -> [Int] {
      (0..<below(5)).map { _ in HostileOperatorTests.sizes[below(HostileOperatorTests.sizes.count)] }
    }
    /// Of another tensor's type two times of three: of unlike ones most operators compute nothing.
    mutating func tensor(like other: Tensor?) throws -> Tensor? {
      var element =
        [.float32, .int64, .int64, .bool, .float64, .int8, .uint64, .int32, .float16][below(9)]
        as ElementType
      if let other, below(3) > 0 { element = other.type.element }
      let shape = element == .int64 && below(2) == 0 ? [below(4)] : shape()
      if below(20) == 0 { return nil }
      let tensor = Tensor(try TensorType(element, shape))
      for place in 0..<tensor.type.count {
        switch element {
        case .float32:
          let wild: [Float] = [.nan, .infinity, -.infinity, 1e30, -0.0]
          tensor.mutableView.elements(Float.self)[place] = below(4) == 0 ? wild[below(5)] : Float(number())
        case .int64: tensor.mutableView.elements(Int64.self)[place] = Int64(number())
        default:
          let bytes = element.byteCount
          tensor.start.storeBytes(of: UInt8(below(256)), toByteOffset: place * bytes, as: UInt8.self)
        }
      }
      return tensor
    }
    mutating func inputs() throws -> [Tensor?] {
      var inputs: [Tensor?] = []
      for _ in 0..<below(5) { inputs.append(try tensor(like: inputs.first ?? nil)) }
      return inputs
    }
    mutating func attribute(_ name: String) -> Attributes.Attribute {
      switch name {
      case "mode": .string(["constant", "reflect", "edge", "wrap"][below(4)])
      case "axes", "perm", "starts", "ends", "pads", "split", "strides", "dilations", "kernel_shape",
        "classlabels_int64s":
        .ints((0..<below(5)).map { _ in number() })
      case "to": .int(below(18))
      default: .int(number())
      }
    }
  }

  @Test(arguments: OperatorTable.standard.names) func nothingTraps(_ name: String) throws {
    var chance = Chance(state: UInt64(name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) }))
    let seeds = try Self.seeds(name)
    var computed = 0
    for _ in 0..<1500 {
      var attributes: [String: Attributes.Attribute] = [:]
      var inputs = try chance.inputs()
      var opset = 9 + chance.below(20)
      if !seeds.isEmpty, chance.below(2) == 0 {
        let seed = seeds[chance.below(seeds.count)]
        attributes = seed.attributes
        if chance.below(4) > 0 { opset = seed.opset }
        inputs = try seed.inputs.map { chance.below(4) > 0 ? $0 : try chance.tensor(like: $0) }
      }
      for _ in 0..<chance.below(3) {
        let name = Self.attributes[chance.below(Self.attributes.count)]
        attributes[name] = chance.attribute(name)
      }
      let node = NodeDescription(
        opset: opset, attributes: Attributes(attributes), inputs: inputs.count,
        outputs: 1 + chance.below(3))
      if Self.run(name, node, inputs) { computed += 1 }
    }
    // The test would say nothing of an operator that it never reaches.
    #expect(computed > 0, "\(name) has computed nothing")
  }

  /// Whether it was computed; results of more than a few elements are left out.
  private static func run(_ name: String, _ node: NodeDescription, _ inputs: [Tensor?]) -> Bool {
    do {
      let operation = try OperatorTable.standard.make(name, domain: "", node)
      let types = try operation.outputTypes(
        inputs.map { $0.map { KnownTensor(type: $0.type, value: $0.view) } })
      guard types.allSatisfy({ $0.count < 1 << 16 }) else { return false }
      let outputs = types.map { Tensor($0) }
      try withExtendedLifetime(outputs) {
        try operation.compute(inputs.map { $0?.view }, outputs.map(\.mutableView))
      }
      return true
    } catch { return false }
  }
}
