import Testing

@testable import ApusEngine
@testable import ApusFormats

@Suite("Constants of TensorFlow")
struct TensorFlowTensorTests {
  /// A graph that gives a constant on.
  private func constant(_ type: Int, _ shape: [Int], _ data: [UInt8]) throws(FormatError) -> Tensor {
    let graph = try readTensorFlow(
      TF.graph([TF.constant("w", type, shape, data), TF.node("Identity", "y", ["w"])])
    ).graph
    return graph.values.compactMap(\.constant)[0]
  }

  private func refusal(_ type: Int, _ shape: [Int], _ data: [UInt8]) -> String? {
    do throws(FormatError) {
      _ = try constant(type, shape, data)
      return nil
    } catch { return error.description }
  }

  private func elements<Element: TensorElement>(
    _ type: Int, _ shape: [Int], _ data: [UInt8], _: Element.Type = Element.self
  ) throws -> [Element] {
    let tensor = try constant(type, shape, data)
    #expect(tensor.type.shape == shape)
    return withExtendedLifetime(tensor) { Array(tensor.view.elements(Element.self)) }
  }

  @Test("Numbers in fields of their kind, of which the last stands for all that are missing")
  func fields() throws {
    #expect(
      try elements(1, [2, 2], Proto.float(5, 1.5) + Proto.float(5, -2)) == [1.5, -2, -2, -2] as [Float])
    #expect(try elements(1, [3], []) == [0, 0, 0] as [Float])
    #expect(try elements(1, [], Proto.float(5, 7)) == [7 as Float])
    #expect(try elements(2, [1], Proto.bytes(6, littleEndian((2.5 as Double).bitPattern))) == [2.5 as Double])
    #expect(try elements(3, [3], Proto.bytes(7, [1, 2])) == [1, 2, 2] as [Int32])
    #expect(try elements(4, [1], Proto.int(7, 200)) == [200 as UInt8])
    #expect(try elements(5, [1], Proto.int(7, -9)) == [-9 as Int16])
    #expect(try elements(6, [2], Proto.int(7, -3)) == [-3, -3] as [Int8])
    #expect(try elements(17, [1], Proto.int(7, 65535)) == [65535 as UInt16])
    #expect(try elements(9, [1], Proto.int(10, -5)) == [-5 as Int64])
    #expect(try elements(22, [1], Proto.int(16, 5)) == [5 as UInt32])
    #expect(try elements(23, [1], Proto.int(17, -1)) == [UInt64.max])
    #expect(try elements(10, [2], Proto.int(11, 1), TensorBool.self).map(\.value) == [true, true])
    let half = try constant(19, [1], Proto.int(13, 0x3c00))
    #expect(half.type.element == .float16)
    withExtendedLifetime(half) { #expect(half.start.load(as: UInt16.self) == 0x3c00) }
    #expect(try constant(1, [0, 3], []).type.count == 0)
  }

  @Test("Numbers as they are in memory stay in the file where they are aligned")
  func content() throws {
    let file = TF.graph([TF.floats("w", [3], [1, 2, 3]), TF.node("Identity", "y", ["w"])])
    var inPlace = 0
    for offset in 0..<4 {
      let memory = FileMemory(file, offset: offset)
      let graph = try TensorFlowFile.read(memory.kept).graph
      let tensor = try #require(graph.values.compactMap(\.constant).first)
      #expect(Array(tensor.view.elements(Float.self)) == [1, 2, 3])
      let start = memory.kept.bytes.baseAddress!
      inPlace +=
        UnsafeRawPointer(tensor.start) >= start && UnsafeRawPointer(tensor.start) < start + file.count ? 1 : 0
    }
    #expect(inPlace == 1)
  }

  @Test("What is no whole tensor is refused")
  func refusals() {
    #expect(refusal(7, [1], Proto.text(8, "a"))?.contains("elements of texts") == true)
    #expect(refusal(20, [], [])?.contains("resources") == true)
    #expect(refusal(99, [], [])?.contains("unknown type 99") == true)
    #expect(refusal(1, [2], Proto.bytes(4, [0, 0, 0, 0]))?.contains("4 bytes; float32 [2] takes 8") == true)
    #expect(refusal(1, [1], Proto.bytes(5, littleEndian([1, 2])))?.contains("has 2 numbers") == true)
    #expect(refusal(1, [1], Proto.int(7, 1))?.contains("in int_val, where none of float32 belong") == true)
    #expect(
      refusal(3, [1], Proto.int(7, 1) + Proto.bytes(4, [1, 0, 0, 0]))?.contains("and again in") == true)
    #expect(refusal(6, [1], Proto.int(7, 300))?.contains("beyond its type") == true)
    #expect(refusal(1, [-1], [])?.contains("open sizes") == true)
    #expect(refusal(1, [1 << 40, 4], [])?.contains("too many elements") == true)
    #expect(refusal(1, [1, 1, 1, 1, 1, 1, 1, 1, 1], [])?.contains("9 dimensions") == true)
    // A few bytes ask for no more than a fixed amount of memory.
    #expect(refusal(1, [1 << 23], Proto.float(5, 1))?.contains("repeats one number") == true)
    #expect(refusal(1, [1 << 22], Proto.float(5, 1)) == nil)
    let three = (0..<3).map { TF.constant("w\($0)", 1, [1 << 21], Proto.float(5, 1)) }
    let sum = TF.node("AddN", "y", ["w0", "w1", "w2"])
    #expect(tensorFlowRefusal(TF.graph(three + [sum]))?.contains("node w2 (Const): it repeats") == true)
  }

  @Test("A sound file cut at any byte is refused, and one with any byte changed never worse")
  func damaged() throws {
    let file = TF.graph([
      TF.input("x", [-1, 4, 4, 1]), TF.floats("w", [2, 2, 1, 1], [1, 2, 3, 4]),
      TF.node(
        "Conv2D", "c", ["x", "w"],
        [TF.ints("strides", [1, 1, 1, 1]), TF.text("padding", "SAME"), TF.ints("dilations", [1, 1, 1, 1])]),
      TF.integers("a", [1, 2]), TF.node("Mean", "m", ["c", "a"]), TF.node("Softmax", "y", ["m"]),
    ])
    #expect(tensorFlowRefusal(file) == nil)
    for count in 0..<file.count {
      let message = tensorFlowRefusal(Array(file[..<count]))
      if let message { #expect(!message.contains("\n")) }
    }
    for place in file.indices {
      for change: UInt8 in [1, 0x80, 0xff] {
        var bytes = file
        bytes[place] ^= change
        if let message = tensorFlowRefusal(bytes) { #expect(!message.isEmpty && !message.contains("\n")) }
      }
    }
  }
}
