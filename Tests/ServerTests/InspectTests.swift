import Foundation
import Testing

/// `apus model inspect`, as a process.
@Suite(.timeLimit(.minutes(15))) struct InspectTests {
  private static let fixtures = ServerProcess.root.appending(path: "Tests/Fixtures").path

  private func inspect(_ path: String, _ options: String...) throws -> CommandRun {
    try CommandRun(["model", "inspect", path] + options)
  }

  @Test func aPersonReadsWhatAModelIs() throws {
    let run = try inspect(Self.fixtures + "/torch/digits_cnn/digits_cnn.onnx")
    #expect(run.status == 0 && run.errors.isEmpty)
    let lines = run.output.split(separator: "\n")
    for (name, text) in [
      ("format", "onnx"), ("graph", "Conv"), ("input", ": float32 [rows, 1, 8, 8]"),
      ("output", ": float32 [rows, 10], then softmax"), ("labels", "none: indices"),
      ("operations", " for a row"), ("memory", "KiB of weights as the kernels read them"),
      ("machine", "OpenBLAS's"), ("note", "assumed output"),
    ] {
      let line = lines.first { $0.hasPrefix(name + " ") }
      #expect(line?.contains(text) == true, "\(name): \(line ?? "none")")
    }
    #expect(lines.contains { $0.hasPrefix("STEP") && $0.contains("1 ROW ") && $0.hasSuffix(" ROWS") })
    // Each step has its kernel and its two times, and so has the whole.
    let times = lines.filter { $0.hasSuffix(" us") }
    #expect(times.contains { $0.contains("Conv 1 -> ") } && times.contains { $0.contains("Linear ") })
    #expect(times.last?.hasPrefix("all ") == true)
    #expect(times.allSatisfy { $0.components(separatedBy: " us").count == 3 })
  }

  @Test func aProgramReadsTheSame() throws {
    let run = try inspect(ServerProcess.root.path + "/models/repository/digits/1", "--json")
    #expect(run.status == 0)
    let parsed = try JSONSerialization.jsonObject(with: Data(run.output.utf8))
    let object = try #require(parsed as? [String: Any])
    #expect(object["parameters"] as? Int == 17_226 && object["operations_per_row"] as? Int == 34_048)
    #expect((object["labels"] as? [String])?.count == 10)
    #expect((object["input"] as? [String: Any])?["shape"] as? [Int] == [-1, 64])
    let plan = try #require(object["plan"] as? [[String: Any]])
    #expect(plan.count == 3)
    for step in plan {
      let times = try #require(step["us"] as? [String: Double])
      // A row, and as many as are best computed together.
      #expect(times.count == 2 && times["1"] != nil && times.values.allSatisfy { $0 > 0 })
    }
  }

  @Test(arguments: ["bad-onnx/onnx_unknown_op.onnx", "bad/evil_system.zip.pth", "nothing.onnx"])
  func whatIsNoModelIsRefusedInALine(_ file: String) throws {
    let run = try inspect(Self.fixtures + "/" + file)
    #expect(run.status == 1 && run.output.isEmpty)
    #expect(run.errors.hasPrefix("apus: "), "\(run.errors)")
    #expect(run.errors.split(separator: "\n").count == 1 && run.errors.utf8.count < 3_000)
    let names = ["unknown": "TotallyNotAnOp", "evil": "posix.system", "nothing": "nothing.onnx"]
    let name = names.first { file.contains($0.key) }?.value ?? ""
    #expect(run.errors.contains(name), "\(run.errors)")
  }
}
