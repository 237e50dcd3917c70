import ApusEngine
import Testing

@testable import ApusFormats

@Suite("Safetensors")
struct SafetensorsTests {
  @Test("White space, metadata, escapes, an empty tensor and a scalar are read")
  func sound() throws {
    let header = #"""
      { "__metadata__" : {"format":"pt", "a\u00e9\ud83d\ude00":"\"\\\/\b\f\n\r\t"} ,
      "w\u0069de": {"shape":[2, 0],"dtype":"I8","data_offsets":[4,4]},
      "s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   
      """#
    let tensors = try readTensors(safetensorsFile(header, data: littleEndian([2.5])))
    #expect(
      tensors == [
        ReadTensor(name: "s", elementType: .float32, shape: [], values: [2.5]),
        ReadTensor(name: "wide", elementType: .int8, shape: [2, 0], values: []),
      ])
  }

  @Test("Every element type has its numbers")
  func elementTypes() throws {
    let types: [(String, [UInt8], Float)] = [
      ("F64", littleEndian((-1.5).bitPattern), -1.5), ("F16", [0x00, 0x3c], 1), ("BF16", [0x80, 0x3f], 1),
      ("I64", littleEndian(Int64(-7)), -7), ("I32", littleEndian(Int32(-7)), -7),
      ("I16", littleEndian(Int16(-7)), -7),
      ("I8", littleEndian(Int8(-7)), -7), ("U64", littleEndian(UInt64(1) << 63), 0x1p63),
      ("U32", littleEndian(UInt32.max), 0x1p32), ("U16", littleEndian(UInt16.max), 65535), ("U8", [255], 255),
      ("BOOL", [2], 1),
    ]
    for (name, data, value) in types {
      let header = "{\"x\":{\"dtype\":\"\(name)\",\"shape\":[1],\"data_offsets\":[0,\(data.count)]}}"
      #expect(try readTensors(safetensorsFile(header, data: data)).map(\.values) == [[value]], "\(name)")
    }
  }

  @Test(
    "Headers that are not JSON, or not safetensors, are refused",
    arguments: [
      "{", "{}", "{} x", "{\"a\"}", "{\"a\":1}", "{,}", "{\"a\":{\"dtype\":\"F32\"}}",
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}"#,
      #"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}"#,
      #"{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F32","shape":[1,],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#,
      #"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F8_E9","shape":[4],"data_offsets":[0,4]}}"#,
      #"{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
      #"{"\ud800\u0041":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
      #"{"a\x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
      "{\"a\nb\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
      #"{"__metadata__":{"a":{"b":"c"}},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
      #"{"__metadata__":{"a":"b","a":"b"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
    ])
  func headers(header: String) {
    #expect(throws: FormatError.self) { try readTensors(safetensorsFile(header, data: littleEndian([1]))) }
  }

  @Test("Numbers in names count as numbers: layer 2 comes before layer 10")
  func naturalOrder() throws {
    var layers: [(String, [Int])] = []
    for index in 0..<12 {
      layers.append(("net.\(index).weight", [index + 2, index + 1]))
      layers.append(("net.\(index).bias", [index + 2]))
    }
    let file = zerosFile(layers.sorted { $0.0 < $1.0 })
    let names = try withStateDict(file) { (stateDict) throws(FormatError) in
      try makeNetwork(stateDict, architecture: nil, output: nil).network.layers.map(\.name)
    }
    #expect(names == (0..<12).map { "net.\($0)" })
    #expect(naturallyPrecedes("a2", "a10") && !naturallyPrecedes("a10", "a2"))
    #expect(naturallyPrecedes("a", "a0") && naturallyPrecedes("a0", "a00") && !naturallyPrecedes("a00", "a0"))
    #expect(!naturallyPrecedes("a1", "a1"))
  }

  /// Mapped weights are neither copied nor widened where they may stay as they are.
  @Test func numbersThatStayAreReadWhereTheyLie() throws {
    final class Owner: Sendable {}
    for (type, size, isKept) in [("F32", 4, true), ("BF16", 2, true), ("F16", 2, true), ("F64", 8, false)] {
      let header =
        #"{"fc.weight":{"dtype":"\#(type)","shape":[3,8],"data_offsets":[0,\#(24 * size)]}}"#
      let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
      let file = safetensorsFile(padded, data: [UInt8](repeating: 0, count: 24 * size))
      try file.withUnsafeBytes { bytes in
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        defer { copy.deallocate() }
        copy.copyMemory(from: bytes)
        let kept = UnsafeRawBufferPointer(copy)
        let architecture = Architecture(type: .mlp, activation: .relu)
        func weights(_ stateDict: StateDict) throws(FormatError) -> Tensor {
          let built = try makeNetwork(stateDict, architecture: architecture, output: nil)
          return built.network.layers[0].weights
        }
        let there = try weights(WeightFile.read(KeptBytes(kept, keeping: Owner())))
        let place = UnsafeRawPointer(there.start) - kept.baseAddress!
        #expect((0..<kept.count).contains(place) == isKept)
        #expect(there.type.element == (size == 2 ? (type == "F16" ? .float16 : .bfloat16) : .float32))
        // Nobody keeps these.
        let copied = try weights(WeightFile.read(kept))
        #expect(!(0..<kept.count).contains(UnsafeRawPointer(copied.start) - kept.baseAddress!))
      }
    }
  }
}
