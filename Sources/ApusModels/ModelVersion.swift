package import ApusBase
package import ApusEngine
package import ApusFeatures

/// One version of a model, as a folder `DIR/NAME/VERSION/` gave it.
package struct ModelVersion: Sendable {
  package enum State: Sendable {
    case ready(Classifier)
    /// Why it is not served; one line for a person.
    case failed(reason: String)
  }

  package let name: String
  /// A positive integer; 0 for a failure that belongs to no version.
  package let version: UInt64
  package var state: State
  /// `pytorch`, `pytorch-legacy`, `safetensors` or `onnx`; empty where the file could not be read.
  package var format = ""
  /// SHA-256 over the version's files (see `VersionDigest`), 32 bytes; empty where they could not be read.
  package var digest: [UInt8] = []
  /// The files that the digest covers, in byte order of the names.
  package var files: [VersionFile] = []
  /// What `manifest.sig` holds; nil where there is none.
  package var signatures: ManifestSignatures?
  /// What it must answer to some inputs; nil where the folder has no samples.
  package var samples: Samples?
  /// One for each class, or empty.
  package var labels: [String] = []
  /// Names that mean this version: `latest` for the highest ready version of a model, its default.
  package var aliases: [String] = []
  /// Name of the input, where the manifest gives one.
  package var inputName: String?
  /// Name of the output, where the manifest gives one.
  package var outputName: String?
  /// Of one input, without the batch.
  package var inputShape: [Int] = []
  package var inputType = DataType.float32
  /// How a text becomes an input; nil for a model of tensors alone.
  package var features: HashingFeatures?
  /// Rows computed together at most.
  package var batchMaximum = 0
  package var schedule = ModelSchedule()
  /// What was assumed or inferred in loading, a line each for a person.
  package var notes: [String] = []

  /// By whom it was published; nil for a folder that was placed by hand.
  package var published: VersionManifest.Publication?

  package init(name: String, version: UInt64, state: State) {
    self.name = name
    self.version = version
    self.state = state
  }

  /// nil for a version that failed.
  package var classifier: Classifier? {
    if case .ready(let classifier) = state { classifier } else { nil }
  }
}

extension ModelVersion {
  /// Reads one model file by itself, with a `model.yaml`, labels and tensors that lie beside it; or a
  /// folder, as a version's.
  ///
  /// - Throws: `ModelError` with what is wrong with it.
  package init(readingFrom path: String) throws(ModelError) {
    guard let folder = try? Folder(path: path) else {
      self = try VersionLoader.load(file: path)
      return
    }
    self = VersionLoader.load(name: lastComponent(path), version: 0, folder: folder)
    if case .failed(let reason) = state { throw ModelError(reason) }
  }
}
