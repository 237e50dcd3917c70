import ApusBase
package import ApusJSON

/// What a server writes into a version's folder as `manifest.json` when it is published: what the version
/// holds, and who published it.
package struct VersionManifest: Sendable, Equatable {
  package struct Tensor: Sendable, Equatable {
    package var name: String
    package var dataType: String
    /// -1: the batch.
    package var shape: [Int]

    package init(name: String, dataType: String, shape: [Int]) {
      self.name = name
      self.dataType = dataType
      self.shape = shape
    }
  }

  package struct Publication: Sendable, Equatable {
    /// The caller's identity.
    package var by: String
    /// Since 1970.
    package var nanoseconds: UInt64
    /// The transport it came by.
    package var from: String
    /// Where the publisher has it from, as it says; may be empty.
    package var source: String

    package init(by: String, nanoseconds: UInt64, from: String, source: String) {
      self.by = by
      self.nanoseconds = nanoseconds
      self.from = from
      self.source = source
    }
  }

  package static let fileName = "manifest.json"
  /// Longest document that is read, in bytes.
  package static let maximumBytes = 16 << 20
  package static let maximumSourceBytes = 1024

  package var model: String
  package var version: UInt64
  /// 32 bytes.
  package var digest: [UInt8]
  package var files: [VersionFile]
  package var format: String
  package var inputs: [Tensor]
  package var outputs: [Tensor]
  package var labels: [String]
  package var published: Publication

  package init(
    model: String, version: UInt64, digest: [UInt8], files: [VersionFile], format: String,
    inputs: [Tensor], outputs: [Tensor], labels: [String], published: Publication
  ) {
    self.model = model
    self.version = version
    self.digest = digest
    self.files = files
    self.format = format
    self.inputs = inputs
    self.outputs = outputs
    self.labels = labels
    self.published = published
  }

  /// Whether a published version may have a file of this name: neither hidden nor in a folder, and none that
  /// the server itself writes.
  package static func isFileName(_ name: String) -> Bool {
    isText(name, bytes: 1...255) && !name.hasPrefix(".") && !name.utf8.contains(UInt8(ascii: "/"))
      && !VersionDigest.leftOut.contains(name)
  }
}

extension VersionManifest.Publication {
  /// Whether a text can stand for what a version comes from: one line, and not too long.
  package static func isSource(_ text: String) -> Bool {
    isText(text, bytes: 0...VersionManifest.maximumSourceBytes)
  }
}

// MARK: Reading

extension VersionManifest {
  /// Members that are not known are passed over.
  ///
  /// - Throws: for what is no such document, or beyond its bounds.
  package init(parsing bytes: UnsafeRawBufferPointer) throws(ModelError) {
    guard bytes.count <= Self.maximumBytes else {
      throw ModelError("manifest.json has over \(Self.maximumBytes >> 20) MiB")
    }
    let fields = try JSONFields(parsing: bytes, Self.fileName, JSON.Bounds(depth: 6, values: 1 << 20))
    model = try fields.text("model", bytes: 1...255)
    guard ModelRepository.isModelName(model) else { throw fields.failure("model is no name of a model") }
    version = try fields.unsigned("version")
    guard version > 0 else { throw fields.failure("version must be from 1 on") }
    digest = try fields.hash("digest", prefix: "sha256:")
    files = try Self.files(fields)
    format = try fields.text("format", bytes: 0...64)
    inputs = try Self.tensors(fields, "inputs")
    outputs = try Self.tensors(fields, "outputs")
    labels = []
    for label in try fields.list("labels", most: 1 << 19) {
      guard let label = label.string else { throw fields.failure("labels must be texts") }
      labels.append(label)
    }
    published = try Publication(fields.object("published"))
  }

  private static func files(_ fields: JSONFields) throws(ModelError) -> [VersionFile] {
    var files: [VersionFile] = []
    for entry in try fields.objects("files", most: VersionLoader.maximumFiles) {
      let name = try entry.text("name", bytes: 1...255)
      guard isFileName(name) else { throw entry.failure("a version may have no file of the name \(name)") }
      guard !files.contains(where: { $0.name == name }) else { throw entry.failure("\(name) is there twice") }
      let size = try entry.unsigned("size", most: UInt64(Int64.max))
      files.append(VersionFile(name: name, byteCount: Int(size), sha256: try entry.hash("sha256")))
    }
    return files
  }

  private static func tensors(_ fields: JSONFields, _ key: String) throws(ModelError) -> [Tensor] {
    var tensors: [Tensor] = []
    for entry in try fields.objects(key, most: 64) {
      var shape: [Int] = []
      for size in try entry.list("shape", most: 8) {
        guard let size = size.signed, size >= -1, size <= 1 << 40 else {
          throw entry.failure("shape must be of sizes, or -1 for the batch")
        }
        shape.append(Int(size))
      }
      tensors.append(
        Tensor(
          name: try entry.text("name", bytes: 0...255), dataType: try entry.text("dtype", bytes: 1...32),
          shape: shape))
    }
    return tensors
  }
}

extension VersionManifest.Publication {
  fileprivate init(_ fields: JSONFields) throws(ModelError) {
    by = try fields.text("by", bytes: 0...256)
    nanoseconds = try fields.unsigned("at_ns", most: UInt64(Int64.max))
    guard try fields.text("at", bytes: 1...40) == UTCTime.text(nanoseconds) else {
      throw fields.failure("at and at_ns are different times")
    }
    from = try fields.text("from", bytes: 0...256)
    source = try fields.text("source", bytes: 0...VersionManifest.maximumSourceBytes)
  }
}

// MARK: Writing

extension VersionManifest {
  /// The file's bytes: one line of JSON.
  package var bytes: [UInt8] { Array((json.description + "\n").utf8) }

  package var json: JSON {
    [
      "model": .string(model), "version": .unsigned(version),
      "digest": .string("sha256:" + hexadecimal(digest)),
      "files": .array(
        files.map {
          [
            "name": .string($0.name), "size": .integer($0.byteCount),
            "sha256": .string(hexadecimal($0.sha256)),
          ]
        }),
      "format": .string(format), "inputs": .array(inputs.map(\.json)),
      "outputs": .array(outputs.map(\.json)), "labels": .array(labels.map { .string($0) }),
      "published": [
        "by": .string(published.by), "at": .string(UTCTime.text(published.nanoseconds)),
        "at_ns": .unsigned(published.nanoseconds), "from": .string(published.from),
        "source": .string(published.source),
      ],
    ]
  }
}

extension VersionManifest.Tensor {
  fileprivate var json: JSON {
    [
      "name": .string(name), "dtype": .string(dataType),
      "shape": .array(shape.map { .signed(Int64($0)) }),
    ]
  }
}
