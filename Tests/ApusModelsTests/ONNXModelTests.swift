import ApusEngine
import ApusModels
import Foundation
import Testing

/// ONNX files in version folders, as their exporters wrote them.
@Suite struct ONNXModelTests {
  private func plan(_ model: ModelVersion) throws -> Plan {
    try Plan(#require(model.classifier, "\(model.reason ?? "")"))
  }

  private func values<Number>(_ fixture: String, _: Number.Type) throws -> [Number] {
    try TemporaryRepository.fixture(fixture).withUnsafeBytes { bytes in
      (0..<bytes.count / MemoryLayout<Number>.stride).map {
        bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Number>.stride, as: Number.self)
      }
    }
  }

  private func answers(_ plan: Plan, _ input: [Float]) throws -> (logits: [Float], probabilities: [Float]) {
    let rows = input.count / plan.inputs
    var logits = [Float](repeating: 0, count: rows * plan.outputs)
    var probabilities = logits
    let workspace = UnsafeMutableRawPointer.allocate(byteCount: max(1, plan.workspaceBytes), alignment: 64)
    defer { workspace.deallocate() }
    try logits.withUnsafeMutableBufferPointer { logits in
      try plan.logits(
        input: input, inputStride: plan.inputs, rows: rows, output: logits.baseAddress!,
        outputStride: plan.outputs, workspace: workspace)
      probabilities.withUnsafeMutableBufferPointer {
        plan.probabilities(
          logits: logits.baseAddress!, logitsStride: plan.outputs, rows: rows, output: $0.baseAddress!,
          outputStride: plan.outputs)
      }
    }
    return (logits, probabilities)
  }

  private func worst<Number: BinaryFloatingPoint>(_ found: [Float], _ wanted: [Number]) -> Double {
    guard found.count == wanted.count else { return .infinity }
    return zip(found, wanted).reduce(0) { max($0, abs(Double($1.0) - Double($1.1))) }
  }

  @Test(arguments: [
    ("digits_mlp/digits_mlp", "digits_mlp"), ("digits_mlp/digits_mlp.legacy", "digits_mlp"),
    ("digits_cnn/digits_cnn", "digits_cnn"), ("digits_cnn/digits_cnn.legacy", "digits_cnn"),
  ])
  func networksOfPyTorchGiveItsLogits(_ file: String, _ folder: String) throws {
    let repository = try TemporaryRepository().copy("\(file).onnx", to: "digits/1/model.onnx")
    let model = try #require(try repository.load().first)
    #expect(model.format == "onnx" && model.classifier?.head == .softmax)
    #expect(model.inputShape == (folder == "digits_mlp" ? [64] : [1, 8, 8]))
    let found = try answers(plan(model), values("\(folder)/x.f32.bin", Float.self))
    #expect(worst(found.logits, try values("\(folder)/logits.f64.bin", Double.self)) < 3.7e-5)
  }

  @Test(arguments: ["int8dyn", "int8qdq", "int8qlinear"])
  func quantisedNetworksGiveTheLogitsOfONNXRuntime(_ kind: String) throws {
    let repository = try TemporaryRepository().copy(
      "digits_mlp/digits_mlp.\(kind).onnx", to: "digits/1/model.onnx")
    let model = try #require(try repository.load().first)
    let found = try answers(plan(model), values("digits_mlp/x.f32.bin", Float.self)).logits
    let wanted = try values("digits_mlp/logits_\(kind).f32.bin", Float.self)
    #expect(worst(found, wanted) < 1e-3)
    #expect(model.classifier?.couplesRows == (kind == "int8dyn"))
    // And less than half a point of accuracy is lost by 8 bits.
    let exact = try values("digits_mlp/logits.f64.bin", Double.self).map { Float($0) }
    let loss = try accuracy(exact) - accuracy(found)
    #expect(loss < 0.005)
  }

  /// The part of rows of digits whose greatest logit is that of the true label.
  private func accuracy(_ logits: [Float]) throws -> Double {
    let cases = try JSONSerialization.jsonObject(
      with: TemporaryRepository.fixture("digits_mlp/cases.json"))
    let labels = try #require((cases as? [String: Any])?["true_labels"] as? [Int])
    let right = labels.indices.count { row in
      let scores = logits[row * 10..<(row + 1) * 10]
      return scores.firstIndex(of: scores.max() ?? 0) == row * 10 + labels[row]
    }
    #expect(right > labels.count * 9 / 10)
    return Double(right) / Double(labels.count)
  }

  /// Each by itself: the numbers are rounded by the largest of its own.
  @Test func rowsByThemselvesAreQuantisedByThemselves() throws {
    let repository = try TemporaryRepository().copy(
      "digits_mlp/digits_mlp.int8dyn.onnx", to: "digits/1/model.onnx")
    let plan = try plan(#require(try repository.load().first))
    let input = try values("digits_mlp/x.f32.bin", Float.self)
    let found = try (0..<16).flatMap { row in
      try answers(plan, Array(input[row * 64..<(row + 1) * 64])).logits
    }
    #expect(worst(found, try values("digits_mlp/logits_int8dyn_batch1.f32.bin", Float.self)) < 1e-3)
  }

  @Test(arguments: ["logreg", "logreg.zipmap"]) func classifiersOfScikitLearnHaveTheirLabels(_ file: String)
    throws
  {
    let repository = try TemporaryRepository().copy("sklearn_logreg/\(file).onnx", to: "iris/1/model.onnx")
    let model = try #require(try repository.load().first)
    #expect(model.labels == ["0", "1", "2"] && model.inputShape == [4] && model.notes.isEmpty)
    // Those that the operators hold: of a scaler 8, of three linear functions 15.
    #expect(model.classifier?.parameters == 23)
    #expect(try model.classifier?.graph.operationsPerRow() == 4 + 2 * 15 + 3)
    let found = try answers(plan(model), values("sklearn_logreg/x.f32.bin", Float.self))
    #expect(worst(found.probabilities, try values("sklearn_logreg/probs.f32.bin", Float.self)) < 1e-5)
  }

  @Test func theManifestNamesOutputLabelsAndHead() throws {
    let repository = try TemporaryRepository().copy(
      "sklearn_logreg/logreg.onnx", to: "iris/1/model.onnx")
    let manifest = "labels: [setosa, versicolor, virginica]\ninput: {shape: [4], dtype: float32}\n"
    try repository.write("iris/1/model.yaml", manifest + "output: {name: probabilities, activation: none}\n")
    #expect(try repository.load()[0].labels == ["setosa", "versicolor", "virginica"])
    try repository.write("iris/1/model.yaml", "output: {name: label}\n")
    #expect(
      try repository.load()[0].reason
        == "model.onnx: the output 'label' is no batch of rows of floating-point numbers")
    try repository.write("iris/1/model.yaml", "input: {shape: [4], dtype: int32}\n")
    #expect(try repository.load()[0].reason == "input.dtype is int32 but the model takes float32")
    try repository.write("iris/1/model.yaml", "architecture: {type: mlp}\n")
    #expect(
      try repository.load()[0].reason
        == "model.yaml says an architecture, but an ONNX file has its own; remove it")
  }

  @Test func operatorsThatAreNotThereAreRefusedByName() throws {
    let repository = try TemporaryRepository().copy(
      "digits_mlp/digits_mlp.int8qop.onnx", to: "digits/1/model.onnx")
    let reason = try #require(try repository.load()[0].reason)
    #expect(reason.contains("com.microsoft.QGemm") && reason.contains("ai.onnx.ml"))
  }

  @Test func aSecondModelFileIsRefused() throws {
    let repository = try TemporaryRepository().copy(
      "digits_mlp/digits_mlp.onnx", to: "digits/1/model.onnx")
    try repository.copy("digits_mlp/digits_mlp.pth", to: "digits/1/model.pth")
    let reason = "the version has 2 model files (model.onnx, model.pth); keep one"
    #expect(try repository.load()[0].reason == reason)
  }

  @Test func aTruncatedFileIsRefusedInOneLine() throws {
    let whole = try TemporaryRepository.fixture("digits_mlp/digits_mlp.onnx")
    for length in [1, 100, whole.count / 2, whole.count - 1] {
      let repository = try TemporaryRepository().write("digits/1/model.onnx", whole.prefix(length))
      let reason = try #require(try repository.load()[0].reason)
      #expect(reason.hasPrefix("model.onnx: ") && !reason.contains("\n"), "\(reason)")
    }
  }
}
