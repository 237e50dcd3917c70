import ApusEngine
import Foundation
import Testing

@testable import ApusFormats

/// ONNX's own cases for its operators, which `make test-onnx-cases` writes into the folder that
/// APUS_ONNX_CASES names.
@Suite("ONNX's cases for single operators")
struct ONNXNodeCaseTests {
  private static let folder = ProcessInfo.processInfo.environment["APUS_ONNX_CASES"]

  private struct Index: Decodable { let cases: [Case] }

  private struct Case: Decodable {
    let name: String
    let operators: [String]
    let rtol: Double
    let atol: Double
    /// ONNX Runtime passes it, in types that are computed here.
    let required: Bool
    /// Counts of inputs and outputs of each set.
    let data: [[Int]]
  }

  private enum Outcome: Equatable {
    case passed
    case refused(String)
    case failed(String)
  }

  /// Required cases that are not passed, and why.
  private static let exceptions: [String: String] = [:]

  @Test(
    "Every case that ONNX Runtime passes is passed",
    .enabled(if: folder != nil, "APUS_ONNX_CASES names no folder of cases: make test-onnx-cases"))
  func cases() throws {
    let folder = URL(filePath: try #require(Self.folder))
    let index = try JSONDecoder().decode(
      Index.self, from: Data(contentsOf: folder.appending(path: "cases.json")))
    #expect(index.cases.count > 600 && index.cases.count(where: \.required) > 400)
    var counts = (passed: 0, refused: 0, failed: 0)
    var refused: [String: Int] = [:]
    var failures: [String] = []
    for each in index.cases {
      let problem: String
      switch try run(each, folder.appending(path: each.name)) {
      case .passed:
        counts.passed += 1
        #expect(Self.exceptions[each.name] == nil, "\(each.name) is passed: it is no exception")
        continue
      case .refused(let reason):
        counts.refused += 1
        refused[each.operators.joined(separator: "+"), default: 0] += 1
        guard each.required else { continue }
        problem = "is refused: \(reason.prefix(200))"
      case .failed(let reason):
        counts.failed += 1
        problem = reason
      }
      if Self.exceptions[each.name] == nil { failures.append("\(each.name) \(problem)") }
    }
    print("\(counts.passed) cases passed, \(counts.refused) refused, \(counts.failed) failed")
    for (operators, count) in refused.sorted(by: { $0.key < $1.key }) {
      print("  refused: \(count) of \(operators)")
    }
    #expect(failures.isEmpty, "\(failures.count) cases:\n\(failures.joined(separator: "\n"))")
  }

  private func run(_ each: Case, _ folder: URL) throws -> Outcome {
    let model = [UInt8](try Data(contentsOf: folder.appending(path: "model.onnx")))
    let file: ONNXFile
    do { file = try readONNX(model) } catch { return .refused("\(error)") }
    for (number, counts) in each.data.enumerated() {
      let data = folder.appending(path: "data_\(number)")
      let inputs: [Tensor]
      let expected: [Tensor]
      do {
        inputs = try (0..<counts[0]).map { try tensor(data.appending(path: "input_\($0).pb")) }
        expected = try (0..<counts[1]).map { try tensor(data.appending(path: "output_\($0).pb")) }
      } catch let error as FormatError { return .refused(error.description) }
      let run: Evaluation
      do { run = try Evaluation(file.graph, inputs: inputs) } catch { return .refused("\(error)") }
      for (value, wanted) in zip(file.graph.outputs, expected) {
        guard let got = run.tensors[value] else {
          return .failed("\(file.graph.values[value].name) is not there")
        }
        if let difference = difference(got, wanted, each) {
          return .failed("\(file.graph.values[value].name): \(difference)")
        }
      }
      guard file.graph.outputs.count == expected.count else { return .failed("another number of outputs") }
    }
    return .passed
  }

  private func tensor(_ file: URL) throws -> Tensor {
    try ONNXFile.readTensor(FileMemory([UInt8](try Data(contentsOf: file))).kept)
  }

  /// What differs most, or nil where nothing does. Whole numbers are equal or they are not.
  private func difference(_ got: Tensor, _ wanted: Tensor, _ each: Case) -> String? {
    guard got.type == wanted.type else {
      return "\(got.type.description) instead of \(wanted.type.description)"
    }
    guard let values = floats(got), let expected = floats(wanted) else {
      let size = got.type.byteCount
      return memcmp(got.start, wanted.start, size) == 0 ? nil : "other numbers in \(got.type.description)"
    }
    for (index, (value, wanted)) in zip(values, expected).enumerated() {
      if value == wanted || (value.isNaN && wanted.isNaN) { continue }
      guard abs(value - wanted) <= each.atol + each.rtol * abs(wanted) else {
        return "element \(index) of \(got.type.description) is \(value), not \(wanted)"
      }
    }
    return nil
  }

  /// nil for elements that are no floating-point numbers.
  private func floats(_ tensor: Tensor) -> [Double]? {
    let bits = UnsafeBufferPointer(
      start: tensor.start.assumingMemoryBound(to: UInt16.self), count: tensor.type.count)
    switch tensor.type.element {
    case .float32: return tensor.view.elements(Float.self).map { Double($0) }
    case .float64: return Array(tensor.view.elements(Double.self))
    case .float16: return bits.map { Double(Float(float16: $0)) }
    case .bfloat16: return bits.map { Double(Float(bfloat16: $0)) }
    default: return nil
    }
  }
}
