import ApusGateway
import ApusJSON
import ApusWire
import Testing

/// Texts as a tensor of BYTES.
@Suite struct InferenceTextsTests {
  private func input(
    _ text: String, _ binary: [UInt8] = [], takesTexts: Bool = true
  ) throws -> (input: Input, rest: Int) {
    let body = #"{"inputs": [\#(text)]}"#
    let request = try scan(body.utf8) { (scanner) throws(JSONError) in try InferenceRequest(&scanner) }
    return try binary.withUnsafeBytes { bytes in
      var rest = bytes
      return (try request.inputs[0].input(&rest, takesTexts: takesTexts), rest.count)
    }
  }

  /// As Triton's client serializes a tensor of BYTES.
  private func bytes(_ texts: [String]) -> [UInt8] {
    texts.flatMap { text in
      withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian, Array.init) + Array(text.utf8)
    }
  }

  private func tensor(_ shape: String, binary: Int) -> String {
    #"{"shape": \#(shape), "datatype": "BYTES", "parameters": {"binary_data_size": \#(binary)}}"#
  }

  /// - Throws: what is no status.
  private func refusal(_ text: String, _ binary: [UInt8] = [], takesTexts: Bool = true) throws -> Status {
    do {
      let found = try input(text, binary, takesTexts: takesTexts)
      Issue.record("\(found) was read of \(text)")
      return Status(.ok, "", "")
    } catch let status as Status { return status }
  }

  @Test(arguments: [
    (#"[2]"#, #"["a", "b\n😀"]"#), (#"[2, 1]"#, #"["a", "b\n😀"]"#), (#"[2, 1]"#, #"[["a"], ["b\n😀"]]"#),
  ])
  func takesStrings(_ shape: String, _ data: String) throws {
    let text = #"{"name": "text", "shape": \#(shape), "datatype": "BYTES", "data": \#(data)}"#
    #expect(try input(text).input == .texts(["a", "b\n😀"]))
  }

  @Test(arguments: ["[4]", "[4, 1]"]) func takesBytesFromTheFront(_ shape: String) throws {
    let texts = ["a lovely film", "", "ÉTÉ 模型 😀", "zero\0byte"]
    let body = bytes(texts)
    let read = try input(tensor(shape, binary: body.count), body + [9, 9, 9])
    #expect(read.input == .texts(texts))
    #expect(read.rest == 3)
    // A body that ends at any place before, and a size that is any shorter.
    for count in 0..<body.count {
      let short = try refusal(tensor(shape, binary: body.count), Array(body.prefix(count)))
      #expect(short.reason == "TENSOR_MISMATCH" && short.message.contains("left in the body"))
      #expect(try refusal(tensor(shape, binary: count), body).reason == "TENSOR_MISMATCH")
    }
  }

  @Test func lengthsAreHeldAgainstWhatIsThere() throws {
    for length in [UInt32(2), 1 << 31, .max] {
      let lying = withUnsafeBytes(of: length.littleEndian, Array.init) + [97]
      let found = try refusal(tensor("[1]", binary: 5), lying)
      #expect(found.reason == "TENSOR_MISMATCH")
      #expect(found.message.contains("text 1 of '' is \(length) bytes long, and 1 bytes are left"))
    }
    let body = bytes(["a", "b"])
    #expect(try refusal(tensor("[1]", binary: 10), body).message == "5 bytes follow the last text of ''")
    #expect(try refusal(tensor("[3]", binary: 10), body).message.contains("takes 3 texts"))
    let three = bytes(["a", "", ""])
    #expect(try refusal(tensor("[3]", binary: 12), three).message.contains("text 3 of '' has no length"))
    // So many cannot be there: no memory is taken for them.
    let most = tensor("[9007199254740992]", binary: 10)
    #expect(try refusal(most, body).message.contains("takes 9007199254740992 texts"))
  }

  @Test(arguments: [[0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80]] as [[UInt8]])
  func refusesWhatIsNoUTF8(_ text: [UInt8]) throws {
    let body = bytes(["a"]) + [UInt8(text.count), 0, 0, 0] + text
    let found = try refusal(tensor("[2]", binary: body.count), body)
    #expect(found.code == .invalidArgument && found.reason == "TEXT_NOT_UTF8")
    #expect(found.message == "text 2 of '' is not UTF-8")
  }

  @Test(arguments: [
    (#""shape": [1], "data": ["a", "b"]"#, "takes 1 texts; 'data' holds 2"),
    (#""shape": [2], "data": ["a"]"#, "takes 2 texts; 'data' holds 1"),
    (#""shape": [1], "data": [1]"#, "no texts in 'data'"), (#""shape": [1]"#, "no texts in 'data'"),
    (#""shape": [0], "data": []"#, "that of '' is (0)"), (#""shape": [], "data": "a""#, "that of '' is ()"),
    (#""shape": [1, 2], "data": ["a", "b"]"#, "that of '' is (1, 2)"),
    (#""shape": [2, 1, 1], "data": ["a", "b"]"#, "that of '' is (2, 1, 1)"),
    (#""data": ["a"]"#, "has no shape"),
  ])
  func refusesATensorThatIsNotWhatItSays(_ members: String, _ message: String) throws {
    let found = try refusal(#"{"datatype": "BYTES", \#(members)}"#)
    #expect(found.code == .invalidArgument && found.reason == "TENSOR_MISMATCH")
    #expect(found.message.contains(message), "\(found.message)")
  }

  @Test func bytesAreForModelsOfTexts() throws {
    let text = #"{"name": "input", "shape": [1], "datatype": "BYTES", "data": ["a"]}"#
    let found = try refusal(text, takesTexts: false)
    #expect(found.reason == "DTYPE_MISMATCH" && found.message == "input 'input' must be FP32, not 'BYTES'")
    let other = try refusal(#"{"shape": [1], "datatype": "FP64", "data": [1]}"#)
    #expect(other.message == "input '' must be FP32 or BYTES, not 'FP64'")
    let numbers = #"{"shape": [1], "datatype": "FP32", "data": ["a"]}"#
    #expect(try refusal(numbers).message.contains("no numbers in 'data'"))
    #expect(
      try input(#"{"shape": [1], "datatype": "FP32", "data": [1]}"#).input == .numbers([1], shape: [1]))
  }
}
