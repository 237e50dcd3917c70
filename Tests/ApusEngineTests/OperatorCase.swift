import ApusEngine
import Foundation
import Testing

/// A case of one operator, as Tests/Fixtures/operators/cases.py writes it.
struct OperatorCase: Decodable, Sendable {
  let name: String
  let domain: String
  let `operator`: String
  let opset: Int
  let attributes: [String: Value]
  let inputs: [StoredTensor?]
  /// nil: it does not matter, or is left out.
  let outputs: [StoredTensor?]
  let relative: Double
  let absolute: Double

  struct Value: Decodable {
    let int: Int?
    let string: String?
    let ints: [Int]?
    let strings: [String]?
    let floats: StoredTensor?
    let isSingle: Bool?
    let tensor: StoredTensor?

    func attribute() throws -> Attributes.Attribute {
      if let int { return .int(int) }
      if let string { return .string(string) }
      if let ints { return .ints(ints) }
      if let strings { return .strings(strings) }
      if let tensor { return .tensor(try tensor.tensor()) }
      let stored = try #require(floats).tensor()
      let numbers = withExtendedLifetime(stored) { Array(stored.view.elements(Float.self)) }
      return isSingle == true ? .float(numbers[0]) : .floats(numbers)
    }
  }

  struct StoredTensor: Decodable {
    let type: String
    let shape: [Int]
    let data: String

    func tensor() throws -> Tensor {
      let bytes = try #require(Data(base64Encoded: data))
      let tensor = Tensor(try TensorType(#require(ElementType(rawValue: type)), shape))
      try #require(bytes.count == tensor.type.byteCount)
      bytes.copyBytes(to: UnsafeMutableRawBufferPointer(start: tensor.start, count: bytes.count))
      return tensor
    }
  }

  /// Files of cases in Tests/Fixtures/operators.
  static let families = ["matrices", "windows", "normalization", "quantization", "classical"]

  static func read(family: String) throws -> [OperatorCase] {
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try read(fixtures.appending(path: "Fixtures/operators/\(family).json"))
  }

  static func read(_ file: URL) throws -> [OperatorCase] {
    try JSONDecoder().decode([OperatorCase].self, from: Data(contentsOf: file))
  }

  /// Computes the outputs, in memory that holds something else before.
  func run() throws -> [Tensor] {
    let node = NodeDescription(
      opset: opset, attributes: Attributes(try attributes.mapValues { try $0.attribute() }),
      inputs: inputs.count, outputs: outputs.count)
    let operation = try OperatorTable.standard.make(`operator`, domain: domain, node)
    return try compute(operation, inputs.map { try $0?.tensor() })
  }

  /// What is wrong with the outputs; nil: nothing.
  func difference() throws -> String? {
    let found = try run()
    for (index, wanted) in outputs.enumerated() {
      guard let wanted = try wanted?.tensor() else { continue }
      guard index < found.count else { return "there is no output \(index)" }
      guard found[index].type == wanted.type else {
        return "output \(index) is \(found[index].type.description), not \(wanted.type.description)"
      }
      for (place, pair) in zip(numbers(found[index]), numbers(wanted)).enumerated() {
        let isSame = pair.0 == pair.1 || pair.0.isNaN && pair.1.isNaN
        guard !isSame, !(abs(pair.0 - pair.1) <= absolute + relative * abs(pair.1)) else { continue }
        return "output \(index) has \(pair.0) at \(place), not \(pair.1)"
      }
    }
    return nil
  }
}

/// Computes an operator's outputs in memory that holds something else before.
func compute(_ operation: any Operator, _ inputs: [Tensor?]) throws(GraphError) -> [Tensor] {
  let types = try operation.outputTypes(inputs.map { $0.map { KnownTensor(type: $0.type, value: $0.view) } })
  let outputs = types.map { Tensor($0) }
  for output in outputs { memset(output.start, 0x55, output.type.byteCount) }
  try operation.compute(inputs.map { $0?.view }, outputs.map(\.mutableView))
  return outputs
}

/// All elements of any type.
func numbers(_ tensor: Tensor) -> [Double] {
  switch tensor.type.element {
  case .float32: tensor.view.elements(Float.self).map { Double($0) }
  case .float64: tensor.view.elements(Double.self).map { $0 }
  case .int8: tensor.view.elements(Int8.self).map { Double($0) }
  case .int16: tensor.view.elements(Int16.self).map { Double($0) }
  case .int32: tensor.view.elements(Int32.self).map { Double($0) }
  case .int64: tensor.view.elements(Int64.self).map { Double($0) }
  case .uint8: tensor.view.elements(UInt8.self).map { Double($0) }
  case .uint16: tensor.view.elements(UInt16.self).map { Double($0) }
  case .uint32: tensor.view.elements(UInt32.self).map { Double($0) }
  case .uint64: tensor.view.elements(UInt64.self).map { Double($0) }
  default: tensor.view.elements(TensorBool.self).map { $0.value ? 1 : 0 }
  }
}

/// Operators give what ONNX Runtime gives.
@Suite struct OperatorCaseTests {
  @Test(arguments: OperatorCase.families)
  func operatorsAgreeWithONNXRuntime(_ family: String) throws {
    let cases = try OperatorCase.read(family: family)
    #expect(cases.count > 10)
    for item in cases {
      #expect(throws: Never.self, "\(item.name)") {
        let difference = try item.difference().map { "\(item.name): \($0)" }
        #expect(difference == nil)
      }
    }
  }

  /// Cases in a file that APUS_OPERATOR_CASES names: those of ONNX, which are too many to keep here.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["APUS_OPERATOR_CASES"] != nil))
  func operatorsAgreeWithGivenCases() throws {
    let path = try #require(ProcessInfo.processInfo.environment["APUS_OPERATOR_CASES"])
    for item in try OperatorCase.read(URL(fileURLWithPath: path)) {
      #expect(throws: Never.self, "\(item.name)") {
        let difference = try item.difference().map { "\(item.name): \($0)" }
        #expect(difference == nil)
      }
    }
  }
}
