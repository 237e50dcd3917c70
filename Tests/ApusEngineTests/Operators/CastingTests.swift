import ApusEngine
import Testing

/// Cast, by ONNX's numbers of types: what ONNX Runtime gives on x86.
@Suite struct CastingTests {
  private func cast(_ input: Tensor, to number: Int, opset: Int = 21) throws -> OperatorRun {
    try OperatorRun("Cast", opset: opset, ["to": .int(number)], [input])
  }

  /// Numbers that no whole number of the type stands for, and those at the edges.
  private let wild: [Float] = [
    .nan, .infinity, -.infinity, 1e10, -1e10, 300.7, -1.5, 3e9, 1e19, 1.9e19, -129, 128.9, 70000,
  ]

  @Test func fractionsAreCutOffAndNothingTraps() throws {
    let input = try floats(wild)
    #expect(
      try cast(input, to: 3).values() == [0, 0, 0, 0, 0, 44, -1, 0, 0, 0, 127, -128, 112] as [Int8])
    #expect(
      try cast(input, to: 2).values() == [0, 0, 0, 0, 0, 44, 255, 0, 0, 0, 127, 128, 112] as [UInt8])
    #expect(
      try cast(input, to: 5).values() == [0, 0, 0, 0, 0, 300, -1, 0, 0, 0, -129, 128, 4464] as [Int16])
    #expect(
      try cast(input, to: 4).values() == [0, 0, 0, 0, 0, 300, 65535, 0, 0, 0, 65407, 128, 4464] as [UInt16])
    let lowest = Int32.min
    #expect(
      try cast(input, to: 6).values()
        == [lowest, lowest, lowest, lowest, lowest, 300, -1, lowest, lowest, lowest, -129, 128, 70000])
    #expect(
      try cast(input, to: 12).values()
        == [1 << 31, 0, 1 << 31, 0, 1 << 31, 300, .max, 3_000_000_000, 0, 0, 4_294_967_167, 128, 70000]
        as [UInt32])
    #expect(
      try cast(input, to: 7).integers
        == [
          .min, .min, .min, 10_000_000_000, -10_000_000_000, 300, -1, 3_000_000_000, .min, .min, -129, 128,
          70000,
        ])
    #expect(
      try cast(input, to: 13).values()
        == [
          1 << 63, 0, 1 << 63, 10_000_000_000, 0 &- 10_000_000_000, 300, .max, 3_000_000_000,
          9_999_999_980_506_447_872, 0, 0 &- 129, 128, 70000,
        ] as [UInt64])
    #expect(try cast(floats([0, -0.0, .nan, 0.1]), to: 9).truths == [false, false, true, true])
  }

  @Test func wholeNumbersKeepTheirLowBits() throws {
    let input = try integers([-1, 256, .max, .min])
    #expect(try cast(input, to: 2).values() == [255, 0, 255, 0] as [UInt8])
    #expect(try cast(input, to: 6).values() == [-1, 256, -1, 0] as [Int32])
    #expect(try cast(input, to: 13).values() == [.max, 256, 1 << 63 - 1, 1 << 63] as [UInt64])
    #expect(try cast(input, to: 1).floats == [-1, 256, 0x1p63, -0x1p63])
    #expect(try cast(Tensor([.max, 1] as [UInt64], [2]), to: 1).floats == [0x1p64, 1])
    #expect(try cast(truths([true, false]), to: 11).values() == [1, 0] as [Double])
    #expect(try cast(integers([1 << 24 + 1]), to: 11).values() == [16_777_217] as [Double])
  }

  /// Bits and numbers of binary16, ties to even among them.
  @Test func halvesAreRounded() throws {
    let numbers: [Float] = [
      1, -2, 65504, 65519.996, 65520, .infinity, 0x1p-14, 0x1p-24, 0x1p-25, 0x1.8p-25, 0x1.8p-24,
      1.00048828125,
      1.00146484375, 0x1.ffep-15, 0x1.fffp-15, -0.0, 0.1,
    ]
    let bits: [UInt16] = [
      0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00, 0x7c00, 0x0400, 0x0001, 0x0000, 0x0001, 0x0002, 0x3c00, 0x3c02,
      0x0400, 0x0400, 0x8000, 0x2e66,
    ]
    let half = try cast(floats(numbers), to: 10)
    let found = (0..<bits.count).map { half.outputs[0].start.load(fromByteOffset: 2 * $0, as: UInt16.self) }
    #expect(found == bits)
    let back = try cast(half.outputs[0], to: 1)
    #expect(back.floats == bits.map { Float(float16: $0) })
    #expect(try cast(cast(floats([.nan, -.nan]), to: 10).outputs[0], to: 1).floats.allSatisfy(\.isNaN))
  }

  /// All of binary16 comes back as it was.
  @Test func everyHalfIsItself() throws {
    let all = Tensor(try TensorType(.float16, [1 << 16]))
    for bits in 0..<1 << 16 {
      all.start.storeBytes(of: UInt16(bits), toByteOffset: 2 * bits, as: UInt16.self)
    }
    let back = try cast(cast(all, to: 1).outputs[0], to: 10).outputs[0]
    for bits in 0..<1 << 16 where !Float(float16: UInt16(bits)).isNaN {
      let found = back.start.load(fromByteOffset: 2 * bits, as: UInt16.self)
      guard found == UInt16(bits) else {
        Issue.record("\(bits) became \(found)")
        return
      }
    }
  }

  @Test func brainFloatsAreRounded() throws {
    let numbers: [Float] = [1, 1.00390625, 1.01171875, 3.4e38, -0.0, .infinity]
    let run = try cast(floats(numbers), to: 16)
    let found = (0..<numbers.count).map { run.outputs[0].start.load(fromByteOffset: 2 * $0, as: UInt16.self) }
    #expect(found == [0x3f80, 0x3f80, 0x3f82, 0x7f80, 0x8000, 0x7f80])
    #expect(try cast(cast(floats([.nan]), to: 16).outputs[0], to: 1).floats[0].isNaN)
  }

  @Test func attributesAreThoseOfTheOpset() throws {
    let input = try floats([1])
    #expect(
      try OperatorRun("Cast", opset: 19, ["to": .int(7), "saturate": .int(0)], [input]).integers == [1])
    #expect(
      try refusal("Cast", opset: 18, ["to": .int(7), "saturate": .int(0)], [input])
        == "the attribute 'saturate' is not known here")
    #expect(try refusal("Cast", [input]) == "the attribute 'to' is missing")
    for number in [0, 8, 14, 17, 99, -1, .max] {
      #expect(
        try refusal("Cast", ["to": .int(number)], [input])
          == "elements of ONNX's type \(number) are not computed with")
    }
  }
}
