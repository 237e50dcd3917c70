import ApusEngine
import Testing

@testable import ApusFormats

/// One type of elements: its number in ONNX, the field for its numbers, and the numbers 1, 2 and another one
/// in memory and as bits.
struct TensorForm: Sendable, CustomTestStringConvertible {
  let element: ElementType
  let number: Int
  let field: Int
  let memory: [UInt8]
  let bits: [UInt64]
  var testDescription: String { element.rawValue }

  init<Value: FixedWidthInteger>(_ element: ElementType, _ number: Int, _ field: Int, _ values: [Value]) {
    self.element = element
    self.number = number
    self.field = field
    memory = values.flatMap { littleEndian($0) }
    bits = values.map { UInt64(truncatingIfNeeded: $0) }
  }

  static let all = [
    TensorForm(.float32, 1, 4, [1, 2, -0.5].map { (value: Float) in value.bitPattern }),
    TensorForm(.uint8, 2, 5, [1, 2, 255] as [UInt8]),
    TensorForm(.int8, 3, 5, [1, 2, -128] as [Int8]),
    TensorForm(.uint16, 4, 5, [1, 2, 65535] as [UInt16]),
    TensorForm(.int16, 5, 5, [1, 2, -32768] as [Int16]),
    TensorForm(.int32, 6, 5, [1, 2, .min] as [Int32]),
    TensorForm(.int64, 7, 7, [1, 2, .min] as [Int64]),
    TensorForm(.bool, 9, 5, [1, 0, 1] as [UInt8]),
    TensorForm(.float16, 10, 5, [0x3c00, 0x4000, 0xfbff] as [UInt16]),
    TensorForm(.float64, 11, 10, [1, 2, -0.5].map { (value: Double) in value.bitPattern }),
    TensorForm(.uint32, 12, 11, [1, 2, .max] as [UInt32]),
    TensorForm(.uint64, 13, 11, [1, 2, .max] as [UInt64]),
    TensorForm(.bfloat16, 16, 5, [0x3f80, 0x4000, 0xff7f] as [UInt16]),
  ]

  /// One number as its field has it, without a tag.
  func written(_ bits: UInt64) -> [UInt8] {
    switch field {
    case 4: littleEndian(UInt32(bits))
    case 10: littleEndian(bits)
    default: Proto.varint(bits)
    }
  }

  var packed: [UInt8] { Proto.bytes(field, bits.flatMap(written)) }
  var unpacked: [UInt8] {
    bits.flatMap { Proto.tag(field, field == 4 ? 5 : field == 10 ? 1 : 0) + written($0) }
  }
}

@Suite("Tensors of ONNX files")
struct ONNXTensorTests {
  private func check(_ tensor: Tensor, _ form: TensorForm, _ shape: [Int] = [3]) {
    #expect(tensor.type.element == form.element && tensor.type.shape == shape)
    #expect(Array(UnsafeRawBufferPointer(start: tensor.start, count: tensor.type.byteCount)) == form.memory)
    #expect(Int(bitPattern: tensor.start) % form.element.byteCount == 0)
  }

  @Test("Every type of elements is covered")
  func all() {
    #expect(Set(TensorForm.all.map(\.element)) == Set(ElementType.allCases.filter(\.isComputed)))
  }

  @Test("raw_data, at every distance from an aligned address", arguments: TensorForm.all)
  func raw(_ form: TensorForm) throws {
    let file = ONNX.model(tensor: ONNX.tensor("w", form.number, [3], raw: form.memory))
    var inPlace = 0
    for offset in 0..<8 {
      let memory = FileMemory(file, offset: offset)
      let tensor = try ONNXFile.read(memory.kept).constant("w")
      check(tensor, form)
      let bytes = memory.kept.bytes
      if let start = bytes.baseAddress, UnsafeRawPointer(tensor.start) >= start,
        UnsafeRawPointer(tensor.start) < start + bytes.count
      {
        inPlace += 1
      }
    }
    #expect(inPlace == 8 / form.element.byteCount, "elements that are aligned stay in the file")
  }

  @Test("The field for their kind, packed", arguments: TensorForm.all)
  func packed(_ form: TensorForm) throws {
    check(
      try readONNX(ONNX.model(tensor: ONNX.tensor("w", form.number, [3], data: form.packed))).constant("w"),
      form)
  }

  @Test("The field for their kind, each on its own", arguments: TensorForm.all)
  func unpacked(_ form: TensorForm) throws {
    let file = ONNX.model(tensor: ONNX.tensor("w", form.number, [3], data: form.unpacked))
    check(try readONNX(file).constant("w"), form)
  }

  @Test("Packed in two pieces, with the dimensions packed, too", arguments: TensorForm.all)
  func pieces(_ form: TensorForm) throws {
    let pieces = form.bits.flatMap { Proto.bytes(form.field, form.written($0)) }
    let tensor = Proto.bytes(1, [1, 3]) + Proto.int(2, form.number) + Proto.text(8, "w") + pieces
    check(try readONNX(ONNX.model(tensor: tensor)).constant("w"), form, [1, 3])
  }

  @Test("In a file beside the model", arguments: TensorForm.all)
  func external(_ form: TensorForm) throws {
    for offset in [0, 1, 8] {
      let entries = [("location", "w.bin"), ("offset", "\(offset)"), ("length", "\(form.memory.count)")]
      let file = ONNX.model(tensor: ONNX.external("w", form.number, [3], entries))
      let beside = [UInt8](repeating: 9, count: offset) + form.memory + [9]
      check(try readONNX(file, companions: ["w.bin": beside]).constant("w"), form)
    }
  }

  @Test("Alone in a file", arguments: TensorForm.all)
  func alone(_ form: TensorForm) throws {
    for tensor in [
      ONNX.tensor("", form.number, [3], raw: form.memory),
      ONNX.tensor("t", form.number, [3], data: form.packed),
    ] {
      check(try ONNXFile.readTensor(FileMemory(tensor).kept), form)
    }
  }

  @Test("Scalars, and tensors without elements, with and without a field for them")
  func shapes() throws {
    let scalar = try readONNX(ONNX.model(tensor: ONNX.tensor("w", 7, [], data: Proto.int(7, -5)))).constant(
      "w")
    #expect(scalar.type.shape == [] && scalar.view.elements(Int64.self)[0] == -5)
    for raw in [nil, []] as [[UInt8]?] {
      let empty = try readONNX(ONNX.model(tensor: ONNX.tensor("w", 1, [3, 0], raw: raw))).constant("w")
      #expect(empty.type.shape == [3, 0] && empty.type.count == 0)
    }
  }

  @Test("A tensor outlives the reader of its file, and keeps the file's owner alive")
  func owner() throws {
    weak var owner: (any AnyObject & Sendable)?
    var tensor: Tensor?
    do {
      let memory = FileMemory(ONNX.model(tensor: ONNX.tensor("w", 2, [2], raw: [7, 8])))
      owner = memory.kept.owner
      tensor = try ONNXFile.read(memory.kept).constant("w")
    }
    #expect(owner != nil && tensor?.view.elements(UInt8.self)[1] == 8)
    tensor = nil
    #expect(owner == nil)
  }

  static let refused: [(String, [UInt8])] = [
    (
      "tensor w: its raw_data has 8 bytes; float32 [3] takes 12",
      ONNX.tensor("w", 1, [3], raw: .init(repeating: 0, count: 8))
    ),
    (
      "tensor w: its raw_data has 16 bytes; float32 [3] takes 12",
      ONNX.tensor("w", 1, [3], raw: .init(repeating: 0, count: 16))
    ),
    ("tensor w: its raw_data has 1 bytes; float32 [0] takes 0", ONNX.tensor("w", 1, [0], raw: [0])),
    (
      "tensor w: its int64_data has 1 numbers; its shape [2] takes 2",
      ONNX.tensor("w", 7, [2], data: Proto.int(7, 1))
    ),
    (
      "tensor w: its int32_data has 3 numbers; its shape [2] takes 2",
      ONNX.tensor("w", 6, [2], data: Proto.bytes(5, [1, 2, 3]))
    ),
    ("tensor w: it has no numbers; its shape [2] takes 2", ONNX.tensor("w", 1, [2])),
    ("tensor w: it has no numbers; its shape [] takes 1", ONNX.tensor("w", 1, [])),
    (
      "tensor w: its numbers are in int64_data, where none of float32 belong",
      ONNX.tensor("w", 1, [1], data: Proto.int(7, 1))
    ),
    (
      "tensor w: its numbers are in float_data, where none of bool belong",
      ONNX.tensor("w", 9, [1], data: Proto.float(4, 1))
    ),
    (
      "tensor w: its numbers are in string_data, where none of uint8 belong",
      ONNX.tensor("w", 2, [1], data: Proto.text(6, "a"))
    ),
    (
      "tensor w: its number 1, 256, is beyond its type",
      ONNX.tensor("w", 2, [2], data: Proto.bytes(5, Proto.varint(1) + Proto.varint(256)))
    ),
    ("tensor w: its number 0, -1, is beyond its type", ONNX.tensor("w", 10, [1], data: Proto.int(5, -1))),
    (
      "tensor w: its number 0, 4294967296, is beyond its type",
      ONNX.tensor("w", 12, [1], data: Proto.int(11, 1 << 32))
    ),
    (
      "tensor w: its numbers are in raw_data and again in int64_data",
      ONNX.tensor("w", 7, [1], raw: [1, 0, 0, 0, 0, 0, 0, 0], data: Proto.int(7, 1))
    ),
    (
      "tensor w: its numbers are in raw_data and again in raw_data",
      ONNX.tensor("w", 2, [1], raw: [1], data: Proto.bytes(9, [1]))
    ),
    (
      "tensor w: float_data: packed numbers do not fill their field",
      ONNX.tensor("w", 1, [1], data: Proto.bytes(4, [1, 2, 3]))
    ),
    ("tensor w: int64_data: it is cut short", ONNX.tensor("w", 7, [1], data: Proto.bytes(7, [0x80]))),
    (
      "tensor w: int64_data: a variable-length integer has more than 64 bits",
      ONNX.tensor("w", 7, [1], data: Proto.bytes(7, .init(repeating: 0xff, count: 11)))
    ),
    ("tensor w: raw_data is of another type than ONNX's", ONNX.tensor("w", 2, [1], data: Proto.int(9, 1))),
    ("tensor w: a dimension of [2, -4] is negative", ONNX.tensor("w", 1, [2, -4], raw: [])),
    (
      "tensor w: a tensor of shape [9223372036854775807, 2] has too many elements",
      ONNX.tensor("w", 1, [.max, 2], raw: [])
    ),
    (
      "tensor w: it has 9 dimensions; at most 8 are read",
      ONNX.tensor("w", 1, [1, 1, 1, 1, 1, 1, 1, 1, 1], raw: [])
    ),
    ("tensor w: elements of texts are not computed with", ONNX.tensor("w", 8, [1], data: Proto.text(6, "a"))),
    ("tensor w: elements of no type are not computed with", ONNX.tensor("w", 0, [1], raw: [1])),
    ("tensor w: elements of complex64 are not computed with", ONNX.tensor("w", 14, [1], raw: [])),
    ("tensor w: elements of float8_e4m3fn are not computed with", ONNX.tensor("w", 17, [1], raw: [1])),
    ("tensor w: elements of INT4 are not computed with", ONNX.tensor("w", 22, [1], raw: [1])),
    ("tensor w: elements of the unknown type 77 are not computed with", ONNX.tensor("w", 77, [1], raw: [1])),
    (
      "tensor w: it is a segment of a tensor; only whole ones are read",
      ONNX.tensor("w", 2, [1], raw: [1], data: Proto.bytes(3, []))
    ),
    ("damaged file: a tensor of the graph has no name", ONNX.tensor("", 2, [1], raw: [1])),
  ]

  @Test("Each is refused with what is wrong", arguments: refused)
  func refusals(_ message: String, _ tensor: [UInt8]) {
    #expect(onnxRefusal(ONNX.model(tensor: tensor)) == message)
  }

  @Test("A tensor of 10^9 numbers that has 16 bytes takes no memory for the rest")
  func hugeClaim() {
    let tensor = ONNX.tensor("w", 7, [1_000_000_000], data: Proto.bytes(7, .init(repeating: 1, count: 16)))
    #expect(onnxRefusal(ONNX.model(tensor: tensor))?.contains("has 16 numbers") == true)
  }
}
