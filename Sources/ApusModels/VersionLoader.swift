import ApusBase
import ApusEngine
import ApusFeatures
import ApusFormats
import Glibc

/// Loads one version folder. Each file is mapped once: what is hashed is what is read.
struct VersionLoader {
  private let folder: Folder
  private var files: [OpenFile] = []
  private var result: ModelVersion

  /// A version has a handful of files.
  static let maximumFiles = 64
  /// Bytes of a manifest, and of a file of labels.
  static let maximumTextBytes = 4 << 20

  private final class OpenFile: ForgetfulOwner {
    let name: String
    let mapping: MappedFile

    /// Bytes that keep the mapping for as long as anyone has them.
    var kept: KeptBytes { KeptBytes(mapping.bytes, keeping: self) }

    func forget(_ bytes: UnsafeRawBufferPointer) { mapping.forget(bytes) }

    init(name: String, path: String) throws(ModelError) {
      self.name = name
      mapping = try MappedFile(path: path)
    }
  }

  private init(name: String, version: UInt64, folder: Folder) {
    self.folder = folder
    result = ModelVersion(name: name, version: version, state: .failed(reason: "not loaded"))
  }

  /// Loads the folder; what is wrong with it becomes the version's state.
  static func load(name: String, version: UInt64, folder: Folder) -> ModelVersion {
    var loader = VersionLoader(name: name, version: version, folder: folder)
    do {
      try loader.load()
    } catch {
      loader.result.state = .failed(reason: error.description)
    }
    return loader.result
  }

  /// Loads one model file by itself, with a `model.yaml`, labels and tensors that lie beside it.
  ///
  /// - Throws: `ModelError` with what is wrong with it.
  static func load(file path: String) throws(ModelError) -> ModelVersion {
    let name = lastComponent(path)
    let folder = try Folder(path: path.contains("/") ? Durable.parent(path) : ".")
    var loader = VersionLoader(name: name, version: 0, folder: folder)
    func open(_ name: String) throws(ModelError) -> OpenFile {
      try OpenFile(name: name, path: folder.entry(name).path)
    }
    let model = try OpenFile(name: name, path: path)
    loader.files = [model]
    if access(folder.path + "/model.yaml", F_OK) == 0 { loader.files.append(try open("model.yaml")) }
    let manifest = try loader.readManifest()
    if case .file(let labels) = manifest.labels { loader.files.append(try open(labels)) }
    let classifier = try loader.build(model, manifest) { try? open($0) }
    try loader.describe(classifier, manifest)
    loader.result.state = .ready(classifier)
    return loader.result
  }

  /// The digest of the files as they are now.
  static func digest(of folder: Folder) throws(ModelError) -> [UInt8] {
    var loader = VersionLoader(name: "", version: 0, folder: folder)
    try loader.openFiles()
    return loader.digest().bytes
  }

  private func digest() -> VersionDigest {
    var digest = VersionDigest()
    for file in files where !VersionDigest.leftOut.contains(file.name) {
      digest.add(name: file.name, contents: file.mapping.bytes)
    }
    return digest
  }

  private mutating func load() throws(ModelError) {
    try openFiles()
    let digest = digest()
    result.digest = digest.bytes
    result.files = digest.files
    if let file = files.first(where: { $0.name == ManifestSignatures.fileName }) {
      result.signatures = try ManifestSignatures(parsing: file.mapping.bytes)
    }
    try readPublication()
    let manifest = try readManifest()
    let (model, others) = try findModel(manifest)
    var read: Set<String> = []
    let classifier = try build(model, manifest) { name in
      read.insert(name)
      return others.first { $0.name == name }
    }
    let unread = others.filter { !read.contains($0.name) }
    guard unread.isEmpty else { throw Self.tooMany([model] + unread) }
    try describe(classifier, manifest)
    result.samples = try readSamples(classifier)
    result.state = .ready(classifier)
  }

  /// What was published under this version must be what is there.
  private mutating func readPublication() throws(ModelError) {
    guard let file = files.first(where: { $0.name == VersionManifest.fileName }) else { return }
    let published = try VersionManifest(parsing: file.mapping.bytes)
    guard published.model == result.name, published.version == result.version else {
      throw ModelError("manifest.json is that of \(published.model) version \(published.version)")
    }
    result.published = published.published
    guard published.digest == result.digest else {
      throw ModelError("its files are not those that were published: their digest is another one")
    }
  }

  private mutating func openFiles() throws(ModelError) {
    for name in try folder.names() {
      let entry = try folder.entry(name)
      switch entry.kind {
      case .folder: continue
      case .other: throw ModelError("\(name) is not a file")
      case .file: files.append(try OpenFile(name: name, path: entry.path))
      }
      guard files.count <= Self.maximumFiles else {
        throw ModelError("the version has more than \(Self.maximumFiles) files")
      }
    }
  }

  private func readManifest() throws(ModelError) -> Manifest {
    guard !files.contains(where: { $0.name == "model.yml" }) else {
      throw ModelError("the manifest is called model.yml; rename it to model.yaml")
    }
    guard let file = files.first(where: { $0.name == "model.yaml" }) else { return Manifest() }
    return try Manifest(yaml: try Self.text(file))
  }

  private static func text(_ file: OpenFile) throws(ModelError) -> String {
    guard file.mapping.bytes.count <= maximumTextBytes else {
      throw ModelError(
        "\(file.name) has \(file.mapping.bytes.count) bytes, at most \(maximumTextBytes) are read")
    }
    guard let text = String(validating: file.mapping.bytes, as: UTF8.self) else {
      throw ModelError("\(file.name) is not UTF-8 text")
    }
    return text
  }

  // MARK: - The model file

  /// Endings of files that may lie beside a model and are none.
  private static let companionEndings = [
    "yaml", "yml", "json", "txt", "md", "csv", "plan", "sig", "pem", "py",
  ]
  private static let companionNames: Set<String> = ["README", "LICENSE", "NOTICE"]

  /// The model file, and those that may hold tensors of it.
  private func findModel(_ manifest: Manifest) throws(ModelError) -> (file: OpenFile, others: [OpenFile]) {
    let models = files.filter { file in
      if case .file(file.name) = manifest.labels { return false }
      return !Self.companionNames.contains(file.name) && !Samples.fileNames.contains(file.name)
        && !Self.companionEndings.contains { $0 == Self.ending(file.name) }
    }
    guard let first = models.first else {
      throw ModelError(
        "the version has no model file; put a .pth, .safetensors, .onnx or .pb file into its folder")
    }
    if models.count == 1 { return (first, []) }
    // An ONNX model may have its weights in files beside it.
    let graphs = models.filter { Self.ending($0.name) == "onnx" }
    if let graph = graphs.first, graphs.count == 1 {
      return (graph, models.filter { $0.name != graph.name })
    }
    throw Self.tooMany(models)
  }

  private static func ending(_ name: String) -> String? {
    let parts = name.split(separator: ".")
    return parts.count > 1 ? parts.last?.lowercased() : nil
  }

  private static func tooMany(_ models: [OpenFile]) -> ModelError {
    let names = models.prefix(8).map(\.name).joined(separator: ", ")
    return ModelError("the version has \(models.count) model files (\(names)); keep one")
  }

  /// - Parameter beside: a file of tensors that the model names; nil where there is none.
  private mutating func build(
    _ file: OpenFile, _ manifest: Manifest, beside: (String) -> OpenFile?
  ) throws(ModelError) -> Classifier {
    do {
      let built =
        switch Self.ending(file.name) {
        case "onnx": try readGraph(file, manifest, beside: beside)
        case "pb": try readTensorFlow(file, manifest)
        default: try readWeights(file, manifest)
        }
      result.notes = built.notes
      return built.classifier
    } catch let error as ModelError {
      throw error
    } catch { throw ModelError("\(file.name): \(error)") }
  }

  private mutating func readWeights(
    _ file: OpenFile, _ manifest: Manifest
  ) throws -> (classifier: Classifier, notes: [String]) {
    let stateDict = try WeightFile.read(file.kept)
    result.format = stateDict.format.rawValue
    if let architecture = manifest.architecture, architecture.type == .layers {
      let graph = try makeGraph(
        stateDict, layers: architecture.layers, input: manifest.inputs.first?.shape ?? [])
      let classifier = try Classifier(graph, head: manifest.output?.activation)
      return (classifier, stateDict.notes + classifier.notes)
    }
    let built = try makeNetwork(
      stateDict, architecture: manifest.architecture, output: manifest.output?.activation)
    return (try Classifier(built.network), built.notes)
  }

  private mutating func readGraph(
    _ file: OpenFile, _ manifest: Manifest, beside: (String) -> OpenFile?
  ) throws -> (classifier: Classifier, notes: [String]) {
    result.format = "onnx"
    try refuseArchitecture(manifest, "an ONNX file")
    let graph = try withoutActuallyEscaping(beside) { beside in
      try ONNXFile.read(file.kept) { beside($0)?.kept }.graph
    }
    return try Self.classifier(graph, manifest)
  }

  private mutating func readTensorFlow(
    _ file: OpenFile, _ manifest: Manifest
  ) throws -> (classifier: Classifier, notes: [String]) {
    result.format = "tensorflow"
    try refuseArchitecture(manifest, "a frozen graph")
    return try Self.classifier(TensorFlowFile.read(file.kept).graph, manifest)
  }

  private func refuseArchitecture(_ manifest: Manifest, _ file: String) throws(ModelError) {
    guard manifest.architecture == nil else {
      throw ModelError("model.yaml says an architecture, but \(file) has its own; remove it")
    }
  }

  private static func classifier(
    _ graph: Graph, _ manifest: Manifest
  ) throws(GraphError) -> (classifier: Classifier, notes: [String]) {
    let classifier = try Classifier(
      graph, inputShape: manifest.inputs.first?.shape ?? [], output: manifest.output?.name,
      head: manifest.output?.activation)
    return (classifier, classifier.notes)
  }

  // MARK: - What the manifest adds

  private mutating func describe(
    _ classifier: Classifier, _ manifest: Manifest
  ) throws(ModelError) {
    result.labels = try readLabels(manifest)
    if manifest.labels == nil { result.labels = classifier.labels }
    guard result.labels.isEmpty || result.labels.count == classifier.outputs else {
      throw ModelError(
        "there are \(result.labels.count) labels but the model gives \(classifier.outputs) classes")
    }
    guard manifest.inputs.count <= 1 else {
      throw ModelError("model.yaml lists \(manifest.inputs.count) inputs but the model takes 1")
    }
    try checkFeatures(manifest, classifier)
    result.features = manifest.features
    let shape = manifest.inputs.first?.shape ?? []
    result.inputShape = shape.isEmpty ? classifier.inputShape : shape
    let numbers = result.inputShape.reduce(1, *)
    guard numbers == classifier.inputs else {
      let shape = result.inputShape.map(String.init).joined(separator: ", ")
      throw ModelError(
        "input.shape [\(shape)] has \(numbers) numbers but the model takes \(classifier.inputs)")
    }
    let element = classifier.inputElement.rawValue
    guard let type = DataType.allCases.first(where: { $0.name == element }) else {
      throw ModelError("the model takes \(element), which no call can hold")
    }
    if let said = manifest.inputs.first?.dataType, said != type {
      throw ModelError("input.dtype is \(said.name) but the model takes \(element)")
    }
    result.inputType = type
    result.inputName = manifest.inputs.first?.name
    result.outputName = manifest.output?.name
    result.batchMaximum = manifest.batchMaximum
    result.schedule = manifest.schedule
  }

  private func checkFeatures(_ manifest: Manifest, _ classifier: Classifier) throws(ModelError) {
    let kind = manifest.inputs.first?.kind
    guard let features = manifest.features else {
      guard kind != .text else {
        throw ModelError("input.kind is text, but model.yaml has no features that make numbers of it")
      }
      return
    }
    guard kind != .tensor else { throw ModelError("features make numbers of texts; input.kind must be text") }
    guard classifier.inputElement == .float32 else {
      throw ModelError("features make float32 but the model takes \(classifier.inputElement.rawValue)")
    }
    guard features.dimensions == classifier.inputs else {
      throw ModelError(
        "features.dimensions is \(features.dimensions) but the model takes \(classifier.inputs) numbers")
    }
  }

  private func readSamples(_ classifier: Classifier) throws(ModelError) -> Samples? {
    let found = files.filter { Samples.fileNames.contains($0.name) }
    guard let file = found.first else { return nil }
    guard found.count == 1 else { throw ModelError("there are samples.npz and samples.json; keep one") }
    let samples = try Samples(parsing: file.mapping.bytes, isNPZ: file.name.hasSuffix(".npz"))
    try samples.fit(
      inputs: classifier.inputs, classes: classifier.outputs, takesTexts: result.features != nil)
    return samples
  }

  private func readLabels(_ manifest: Manifest) throws(ModelError) -> [String] {
    switch manifest.labels {
    case nil: return []
    case .list(let labels): return labels
    case .file(let name):
      guard let file = files.first(where: { $0.name == name }) else {
        throw ModelError("the file of labels, \(name), is not in the version's folder")
      }
      var lines: [String] = []
      // By bytes: to Swift, a carriage return and a line feed are one character.
      for line in try Self.text(file).utf8.split(
        separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      {
        let text = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        lines.append(String(Substring(text)))
      }
      if lines.last == "" { lines.removeLast() }
      guard !lines.isEmpty else { throw ModelError("\(name) has no labels") }
      if let empty = lines.firstIndex(of: "") { throw ModelError("\(name) line \(empty + 1) is empty") }
      return lines
    }
  }
}
