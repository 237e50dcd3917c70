// Times a model's plan against ONNX Runtime, in one process on one thread, in rounds of both:
// engine-bench LIBRARY MODEL.onnx ROWS[,ROWS…] [ROUNDS]. A line of JSON for each number of rows.
import ApusBase
import ApusEngine
import ApusFormats
import COnnxRuntime
import Foundation

struct Problem: Error, CustomStringConvertible {
  let description: String
}

/// The bytes of a model file.
final class FileBytes: Sendable {
  nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

  init(_ path: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, data.count), alignment: 64)
    data.copyBytes(to: buffer)
    bytes = UnsafeRawBufferPointer(rebasing: buffer[..<data.count])
  }

  var kept: KeptBytes { KeptBytes(bytes, keeping: self) }
}

/// Both sides of a comparison over the same rows.
final class Comparison {
  private let plan: Plan
  private let session: OpaquePointer
  private let shape: [Int64]
  private let elementType: Int32
  private let workspace: AlignedBuffer
  /// Milliseconds that the plan took when nothing was known of its layers, and when all was.
  private let planning: (first: Double, known: Double)

  init(library: String, model: String) throws {
    let folder = URL(fileURLWithPath: model).deletingLastPathComponent()
    let file = try ONNXFile.read(FileBytes(model).kept) { name in
      try? FileBytes(folder.appendingPathComponent(name).path).kept
    }
    let graph = file.graph
    let classifier = try Classifier(graph, head: OutputActivation.none)
    let begin = Instant.now
    plan = try Plan(classifier)
    let middle = Instant.now
    _ = try Plan(classifier, known: plan.costs)
    planning = (Double(middle.since(begin)) / 1e6, Double(Instant.now.since(middle)) / 1e6)
    workspace = AlignedBuffer(byteCount: plan.workspaceBytes)
    shape = classifier.inputShape.map { Int64($0) }
    elementType = classifier.inputElement == .int32 ? 6 : 1
    let input = graph.values[graph.inputs[0].value].name
    let output = graph.outputs.map { graph.values[$0].name }.first { classifier.outputName == $0 } ?? ""
    guard let session = ort_open(library, model, input, output) else {
      throw Problem(description: "ONNX Runtime does not open the model")
    }
    self.session = session
    for line in plan.choices + [plan.costs.text] {
      FileHandle.standardError.write(Data((line + "\n").utf8))
    }
  }

  func compare(rows: Int, rounds: Int) throws -> String {
    let input = AlignedBuffer(byteCount: rows * plan.inputs * 4)
    let output = AlignedBuffer(byteCount: rows * plan.outputs * 4)
    let expected = AlignedBuffer(byteCount: rows * plan.outputs * 4)
    var state: UInt64 = 1
    for place in 0..<rows * plan.inputs {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let number = Int32(truncatingIfNeeded: state >> 40) & 0xFF
      if elementType == 6 {
        input.baseAddress.storeBytes(of: number, toByteOffset: place * 4, as: Int32.self)
      } else {
        input.floats[place] = Float(number) / 128 - 1
      }
    }
    let dimensions = [Int64(rows)] + shape
    let bytes = Int64(rows * plan.inputs * 4)
    func ours() throws {
      try plan.logits(
        input: input.baseAddress, inputStride: plan.inputs, rows: rows, output: output.floats,
        outputStride: plan.outputs, workspace: workspace.baseAddress)
    }
    func theirs() {
      _ = ort_run_in_place(
        session, input.baseAddress, bytes, elementType, dimensions, Int64(dimensions.count))
    }
    try ours()
    guard
      ort_run(
        session, input.baseAddress, bytes, elementType, dimensions, Int64(dimensions.count), expected.floats,
        Int64(rows * plan.outputs)) == 0
    else { throw Problem(description: "ONNX Runtime does not run the model") }
    var difference: Float = 0
    for place in 0..<rows * plan.outputs {
      let error = abs(output.floats[place] - expected.floats[place]) / max(1, abs(expected.floats[place]))
      difference = error.isNaN ? .infinity : max(difference, error)
    }
    let calls = try max(1, min(10_000, Int(2e6 / max(1, time(1, ours)))))
    var ratios: [Double] = []
    var times: [(Double, Double)] = []
    for _ in 0..<rounds {
      let pair = try (time(calls, ours), time(calls, theirs))
      times.append(pair)
      ratios.append(pair.0 / pair.1)
    }
    ratios.sort()
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    return """
      {"rows": \(rows), "ratio": \(ratios[rounds / 2]), "low": \(ratios[0]), "high": \(ratios[rounds - 1]), \
      "apus_us": \(median(times.map(\.0)) / 1e3), "onnxruntime_us": \(median(times.map(\.1)) / 1e3), \
      "difference": \(difference), "first_planning_ms": \(planning.first), "planning_ms": \(planning.known)}
      """
  }

  private func time(_ calls: Int, _ body: () throws -> Void) rethrows -> Double {
    let start = Instant.now
    for _ in 0..<calls { try body() }
    return Double(Instant.now.since(start)) / Double(calls)
  }
}

let arguments = CommandLine.arguments
guard arguments.count >= 4 else {
  print("usage: engine-bench LIBRARY MODEL.onnx ROWS[,ROWS…] [ROUNDS]")
  exit(64)
}
do {
  let comparison = try Comparison(library: arguments[1], model: arguments[2])
  for rows in arguments[3].split(separator: ",").compactMap({ Int($0) }) {
    print(try comparison.compare(rows: rows, rounds: arguments.count > 4 ? Int(arguments[4]) ?? 15 : 15))
  }
} catch {
  FileHandle.standardError.write(Data("\(error)\n".utf8))
  exit(1)
}
