import ApusGateway
import ApusJSON
import ApusWire
import Foundation
import Testing

/// What a body holds for a model.
@Suite struct InputTests {
  private func input(_ text: String) throws -> Input {
    try scan(text.utf8) { (scanner) throws(JSONError) in try Input(&scanner) }
  }

  @Test func findsTheShape() throws {
    #expect(try input("7") == .numbers([7], shape: []))
    #expect(try input("[]") == .numbers([], shape: [0]))
    #expect(try input("[1, -2.5, 3e1]") == .numbers([1, -2.5, 30], shape: [3]))
    #expect(try input("[[1, 2], [3, 4], [5, 6]]") == .numbers([1, 2, 3, 4, 5, 6], shape: [3, 2]))
    #expect(try input("[[[1], [2]]]") == .numbers([1, 2], shape: [1, 2, 1]))
    #expect(try input("[[], []]") == .numbers([], shape: [2, 0]))
    #expect(try input("[[[[[[[[1]]]]]]]]") == .numbers([1], shape: [1, 1, 1, 1, 1, 1, 1, 1]))
  }

  @Test func takesTextsAloneOrInAList() throws {
    #expect(try input(#""a""#) == .texts(["a"]))
    #expect(try input(#"["a", "b\n"]"#) == .texts(["a", "b\n"]))
    #expect(try input(#""""#) == .texts([""]))
  }

  @Test(arguments: [
    "[[1, 2], [3]]", "[[1], [2, 3]]", "[1, [2]]", "[[1], 2]", "[[], 1]", "[1, []]", "[[], [1]]", "[[1], []]",
    "[[[1]], [2]]", "[[1], [[2]]]", "[1, \"a\"]", "[\"a\", 1]", "[[\"a\"]]", "[[1], [\"a\"]]", "null", "true",
    "{}", "[null]", "[{}]", "[true]", "[1, null]", "[[[[[[[[[1]]]]]]]]]", "[1e39]", "[-1e39]", "[1e999]",
    "[3.4028236e38]", "[1", "[[1]", "[",
  ])
  func refusesWhatHasNoShape(_ text: String) { #expect(throws: JSONError.self) { try input(text) } }

  @Test func roundsToTheNearestFloat() throws {
    let ends: [Float] = [.greatestFiniteMagnitude, 0, 0, 0.1]
    #expect(try input("[3.4028235e38, 1e-50, -0.0, 0.1]") == .numbers(ends, shape: [4]))
  }
}

@Suite struct InferenceRequestTests {
  private func request(_ text: String) throws -> InferenceRequest {
    try scan(text.utf8) { (scanner) throws(JSONError) in try InferenceRequest(&scanner) }
  }

  private func input(_ text: String, _ binary: [UInt8] = []) throws -> (input: Input, rest: Int) {
    try binary.withUnsafeBytes { bytes in
      var rest = bytes
      let input = try request(#"{"inputs": [\#(text)]}"#).inputs[0].input(&rest)
      return (input, rest.count)
    }
  }

  @Test func readsEveryMember() throws {
    let read = try request(
      #"""
      {"id": "7", "parameters": {"timeout": 1500, "binary_data_output": true, "priority": 1, "x": [{}]},
       "inputs": [{"name": "input", "shape": [2, 1], "datatype": "FP32", "data": [1, 2],
                   "parameters": {"shared": null}}],
       "outputs": [{"name": "scores", "parameters": {"binary_data": false, "classification": 3, "y": 1}}],
       "unknown": {"a": [1]}}
      """#)
    #expect(read.id == "7")
    #expect(read.isBinaryOutput)
    #expect(read.timeoutMicroseconds == 1500)
    #expect(read.inputs.count == 1)
    #expect(read.inputs[0].shape == [2, 1])
    #expect(read.outputs.count == 1)
    #expect(read.outputs[0].name == "scores")
    #expect(read.outputs[0].isBinary == false)
    #expect(read.outputs[0].classes == 3)
  }

  @Test func takesDataFlatOrNested() throws {
    let flat = try input(#"{"name": "input", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}"#)
    let nested = try input(#"{"shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4]]}"#)
    #expect(flat.input == .numbers([1, 2, 3, 4], shape: [2, 2]))
    #expect(nested.input == flat.input)
  }

  @Test func takesBytesFromTheFront() throws {
    let bytes = [Float(1), -2].flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
    let text = #"{"shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}"#
    let read = try input(text, bytes + [9, 9, 9])
    #expect(read.input == .numbers([1, -2], shape: [1, 2]))
    #expect(read.rest == 3)
    for count in 0..<8 { #expect(throws: Status.self) { try input(text, Array(bytes.prefix(count))) } }
    let empty = #"{"shape": [0, 2], "datatype": "FP32", "parameters": {"binary_data_size": 0}}"#
    #expect(try input(empty).input == .numbers([], shape: [0, 2]))
  }

  @Test(arguments: [
    #"{"datatype": "FP32", "data": [1]}"#, #"{"shape": [1], "data": [1]}"#,
    #"{"shape": [1], "datatype": "FP64", "data": [1]}"#, #"{"shape": [2], "datatype": "FP32", "data": [1]}"#,
    #"{"shape": [1], "datatype": "FP32"}"#, #"{"shape": [1], "datatype": "FP32", "data": ["a"]}"#,
    #"{"shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 3}}"#,
    #"{"shape": [9007199254740992, 9007199254740992], "datatype": "FP32", "data": []}"#,
    #"{"shape": [0, 9], "datatype": "FP32", "parameters": {"binary_data_size": 9007199254740992}}"#,
  ])
  func refusesATensorThatIsNotWhatItSays(_ text: String) {
    #expect(throws: Status.self) { try input(text) }
  }

  @Test(arguments: [
    "[]", "1", #"{"id": 7}"#, #"{"inputs": {}}"#, #"{"inputs": [1]}"#, #"{"inputs": [{"shape": [-1]}]}"#,
    #"{"inputs": [{"shape": [1.5]}]}"#, #"{"inputs": [{"shape": [1,1,1,1,1,1,1,1,1]}]}"#,
    #"{"outputs": [{"parameters": {"classification": -1}}]}"#, #"{"parameters": []}"#,
    #"{"inputs": [{"datatype": null}]}"#, #"{"parameters": {"binary_data_output": 1}}"#,
  ])
  func refusesMembersOfTheWrongKind(_ text: String) { #expect(throws: JSONError.self) { try request(text) } }

  @Test func tensorsAreBounded() throws {
    let most = try request(#"{"inputs": [\#(repeatElement("{}", count: 64).joined(separator: ","))]}"#)
    #expect(most.inputs.count == 64)
    #expect(throws: JSONError.self) {
      try request(#"{"inputs": [\#(repeatElement("{}", count: 65).joined(separator: ","))]}"#)
    }
    #expect(throws: JSONError.self) {
      try request(#"{"outputs": [\#(repeatElement("{}", count: 65).joined(separator: ","))]}"#)
    }
  }
}
