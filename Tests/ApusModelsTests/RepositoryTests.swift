import ApusEngine
import ApusFeatures
import Foundation
import Testing

@testable import ApusModels

@Suite("A folder of models")
struct RepositoryTests {
  let classifier = "text_classifier/text_classifier.pth"

  /// Why version 1 of a text classifier (100 inputs, 2 classes) with these further files fails.
  private func reason(_ files: [(String, String)]) throws -> String? {
    let repository = try TemporaryRepository().copy(classifier, to: "m/1/model.pth")
    for (name, text) in files { try repository.write("m/1/\(name)", text) }
    return try #require(try repository.load().first).reason
  }

  @Test("A missing folder is an error that names it; an empty one has no models")
  func missingAndEmpty() throws {
    let repository = try TemporaryRepository()
    #expect(try repository.load().isEmpty)
    let missing = repository.folder.path + "/nowhere"
    #expect {
      try ModelRepository(path: missing)
    } throws: {
      "\($0)".contains(missing) && "\($0)".contains("No such file")
    }
    try repository.write("file", "")
    #expect(throws: ModelError.self) { try ModelRepository(path: repository.folder.path + "/file") }
  }

  @Test("Versions come by name and number, the highest ready one is latest, a bad model stops nothing")
  func versions() throws {
    let repository = try TemporaryRepository()
    try repository.copy("digits_mlp/digits_mlp.safetensors", to: "digits/2/weights.safetensors")
    try repository.copy("digits_mlp/digits_mlp.pth", to: "digits/10/digits.pth")
    try repository.copy("digits_cnn/digits_cnn.pth", to: "digits/11/digits.pth")
    try repository.copy("text_classifier/text_classifier.legacy.pth", to: "a.b-c_D/1/x")
    try repository.write("README.md", "a file beside the models").write(".hidden/1/x", "not a model")
    let models = try repository.load()
    #expect(models.map(\.name) == ["a.b-c_D", "digits", "digits", "digits"])
    #expect(models.map(\.version) == [1, 2, 10, 11])
    #expect(models.map(\.aliases) == [["latest"], [], ["latest"], []])
    #expect(models.map(\.format) == ["pytorch-legacy", "safetensors", "pytorch", "pytorch"])
    #expect(models[3].reason?.contains("digits.pth: tensor") == true)
    #expect(models.allSatisfy { $0.digest.count == 32 && Set($0.digest).count > 1 })
    #expect(models[1].classifier?.summary == "64 -> 128 relu -> 64 relu -> 10 softmax")
    #expect(models[1].notes.contains { $0.contains("inferred architecture") })
    #expect(models[1].inputShape == [64] && models[1].labels.isEmpty)
  }

  @Test("The manifest's words reach the model")
  func manifest() throws {
    let repository = try TemporaryRepository().copy(
      "digits_mlp/digits_mlp.pth", to: "digits/1/model.pth")
    try repository.write(
      "digits/1/model.yaml",
      """
      architecture: {type: mlp, activation: tanh}
      output: {name: probabilities, activation: sigmoid}
      labels: labels.txt
      input: {name: pixels, shape: [8, 8]}
      batch: {max: 32, max_delay_us: 100}
      concurrency: 3
      """)
    try repository.write(
      "digits/1/labels.txt", "zero\r\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nneun €\n")
    let model = try #require(try repository.load().first)
    #expect(model.classifier?.summary == "64 -> 128 tanh -> 64 tanh -> 10 sigmoid", "\(model.reason ?? "")")
    #expect(model.labels.count == 10 && model.labels[0] == "zero" && model.labels[9] == "neun €")
    #expect(model.inputShape == [8, 8] && model.inputName == "pixels" && model.outputName == "probabilities")
    #expect(model.batchMaximum == 32 && model.schedule.concurrency == 3)
    #expect(model.schedule.maximumDelayNanoseconds == 100_000)
    #expect(model.notes.isEmpty)
  }

  @Test("What the manifest says must fit the model; both numbers are told")
  func mismatches() throws {
    #expect(
      try reason([("model.yaml", "labels: [a, b, c]")])?.contains("3 labels but the model gives 2") == true)
    let shape = try reason([("model.yaml", "input: {shape: [4, 20]}")])
    #expect(shape == "input.shape [4, 20] has 80 numbers but the model takes 100")
    #expect(
      try reason([("model.yaml", "input: [{shape: [100]}, {shape: [1]}]")])?.contains("2 inputs") == true)
    let type = try reason([("model.yaml", "input: {shape: [100], dtype: int64}")])
    #expect(type?.contains("int64 but the model takes float32") == true)
    #expect(try reason([("model.yaml", "input: {shape: [10, 10]}\nlabels: [a, b]")]) == nil)
    #expect(
      try reason([("model.yaml", "labls: 3")])?.contains("model.yaml line 1: unknown key labls") == true)
    #expect(try reason([("model.yml", "")])?.contains("rename it to model.yaml") == true)
  }

  @Test("Features make the model's numbers, and need an input of texts")
  func features() throws {
    func reason(_ yaml: String) throws -> String? { try self.reason([("model.yaml", yaml)]) }
    #expect(
      try reason("input: {kind: text}")
        == "input.kind is text, but model.yaml has no features that make numbers of it")
    #expect(
      try reason("features: {type: hashing, dimensions: 99}")
        == "features.dimensions is 99 but the model takes 100 numbers")
    #expect(
      try reason("features: {type: hashing, dimensions: 100}\ninput: {shape: [100]}\n") == nil,
      "the shape is the vector's")
    #expect(
      try reason("features: {type: hashing, dimensions: 100}\ninput: {kind: tensor, shape: [100]}")
        == "features make numbers of texts; input.kind must be text")
    let repository = try TemporaryRepository().copy(classifier, to: "m/1/model.pth")
    try repository.write("m/1/model.yaml", "features: {type: hashing, dimensions: 100}\ninput: {kind: text}")
    let model = try #require(try repository.load().first)
    #expect(model.features?.dimensions == 100 && model.inputShape == [100] && model.reason == nil)
  }

  @Test("Files of labels: missing, outside, empty, with an empty line, not UTF-8")
  func labelFiles() throws {
    #expect(
      try reason([("model.yaml", "labels: l.txt")])?.contains("l.txt, is not in the version's folder") == true
    )
    #expect(try reason([("model.yaml", "labels: ../../../etc/passwd")])?.contains("same folder") == true)
    #expect(try reason([("model.yaml", "labels: l.txt"), ("l.txt", "")])?.contains("no labels") == true)
    #expect(
      try reason([("model.yaml", "labels: l.txt"), ("l.txt", "a\n\nb\n")])?.contains("line 2 is empty")
        == true)
    // The file of labels may have any ending, and is no second model.
    #expect(try reason([("model.yaml", "labels: classes"), ("classes", "a\nb")]) == nil)
    let repository = try TemporaryRepository().copy(classifier, to: "m/1/model.pth")
    try repository.write("m/1/model.yaml", "labels: l.txt").write("m/1/l.txt", Data([0xff, 0xfe, 0x0a]))
    #expect(try repository.load().first?.reason == "l.txt is not UTF-8 text")
  }

  @Test("One model file, no more and no less")
  func modelFiles() throws {
    #expect(
      try reason([("other.safetensors", "x")])?.contains("2 model files (model.pth, other.safetensors)")
        == true)
    #expect(try reason([("README.md", "x"), ("LICENSE", "x"), ("train.py", "x"), (".DS_Store", "x")]) == nil)
    let repository = try TemporaryRepository().write("m/1/README.md", "x")
    #expect(try repository.load().first?.reason?.contains("no model file") == true)
    try repository.write("m/1/model.pth", "")
    #expect(try repository.load().first?.reason?.contains("model.pth: not a PyTorch") == true)
  }

  @Test("Names and versions that are none are told, and do not stop the others")
  func names() throws {
    let repository = try TemporaryRepository().copy(classifier, to: "good/1/model.pth")
    try repository.copy(classifier, to: "bad name/1/model.pth").copy(classifier, to: "v/v1/model.pth")
    try repository.copy(classifier, to: "zero/0/model.pth").copy(classifier, to: "zero/01/model.pth")
    try repository.copy(classifier, to: "flat/model.pth").copy(
      classifier, to: "big/18446744073709551616/model.pth")
    let models = try repository.load()
    #expect(models.filter { $0.classifier != nil }.map(\.name) == ["good"])
    let reasons = Dictionary(grouping: models, by: \.name).mapValues { $0.compactMap(\.reason).joined() }
    #expect(reasons["bad name"]?.contains("may hold only") == true)
    #expect(reasons["v"]?.contains("folder v1 is no version") == true)
    #expect(reasons["zero"]?.contains("folder 0") == true && reasons["zero"]?.contains("folder 01") == true)
    #expect(reasons["flat"]?.contains("put its file into flat/1/") == true)
    #expect(reasons["big"]?.contains("no version") == true)
  }

  @Test("Links are followed inside of the folder and refused beyond it")
  func links() throws {
    let outside = try TemporaryRepository().copy(classifier, to: "m/1/model.pth")
    let repository = try TemporaryRepository().copy(classifier, to: "inside/1/..data/model.pth")
    try repository.link("inside/1/model.pth", to: "..data/model.pth")
    try repository.link("file/1/model.pth", to: outside.folder.path + "/m/1/model.pth")
    try repository.link("labels/1/l.txt", to: "/etc/passwd")
    try repository.link("version/1", to: outside.folder.path + "/m/1")
    try repository.link("model", to: outside.folder.path + "/m")
    try repository.link("nowhere/1/model.pth", to: "missing")
    let reasons = Dictionary(
      uniqueKeysWithValues: try repository.load().map { ($0.name, $0.reason ?? "ready") })
    #expect(reasons["inside"] == "ready")
    for name in ["file", "labels", "version", "model"] {
      #expect(reasons[name]?.contains("leads outside") == true, "\(reasons[name] ?? "")")
    }
    #expect(reasons["nowhere"]?.contains("cannot open model.pth") == true)
    // The folder itself may be a link.
    let linked = try TemporaryRepository()
    try linked.link("models", to: outside.folder.path)
    #expect(try ModelRepository(path: linked.folder.path + "/models").load().first?.classifier != nil)
  }

  @Test("A named pipe in a version is refused, and nobody waits for its writer")
  func pipe() throws {
    let repository = try TemporaryRepository().copy(classifier, to: "m/1/model.pth")
    #expect(mkfifo(repository.folder.path + "/m/1/pipe", 0o600) == 0)
    #expect(try repository.load().first?.reason == "pipe is not a file")
  }

  @Test(
    "The digest is what its layout says, leaves out manifest.json and model.plan, and sees every other change"
  )
  func digest() throws {
    func digest(_ files: [(String, String)]) throws -> String {
      let repository = try TemporaryRepository()
      for (name, text) in files { try repository.write("m/1/\(name)", text) }
      let bytes = try #require(try repository.load().first).digest
      return bytes.map { String(format: "%02x", $0) }.joined()
    }
    // Python: entry = lambda n, d: n.encode() + b"\0" + struct.pack("<Q", len(d)) + sha256(d).digest()
    // sha256(entry("model.pth", b"weights") + entry("model.yaml", b"")).hexdigest()
    let expected = "74c8b3043c7a6e682a6e5959c503a2eba45da5eb38aa4fb0b4eead475773d221"
    let files = [("model.yaml", ""), ("model.pth", "weights")]
    #expect(try digest(files) == expected)
    #expect(try digest(files + [("manifest.json", "{}"), ("model.plan", "x"), (".hidden", "x")]) == expected)
    #expect(try digest(files + [("labels.txt", "")]) != expected)
    #expect(try digest([("model.yaml", ""), ("model.pth", "weightS")]) != expected)
    #expect(try digest([("model.yaml", ""), ("model2.pth", "weights")]) != expected)
  }

  @Test("Files that are hostile load as failures")
  func hostile() throws {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let repository = try TemporaryRepository()
    let bad = tests.appending(path: "Fixtures/bad")
    for (index, name) in ["evil_system.zip.pth", "pth_deep_nesting.pth", "st_deep_json.safetensors"]
      .enumerated()
    {
      try repository.write("m/\(index + 1)/\(name)", Data(contentsOf: bad.appending(path: name)))
    }
    try repository.copy(classifier, to: "m/4/model.pth")
    let models = try repository.load()
    #expect(models.map { $0.classifier != nil } == [false, false, false, true])
    #expect(models[0].reason?.contains("wants to call posix.system") == true)
    #expect(models[3].aliases == ["latest"])
  }
}
