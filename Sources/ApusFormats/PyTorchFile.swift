/// Files of `torch.save`: the zip form (since PyTorch 1.6) and the legacy form (torch/serialization.py).
enum PyTorchFile {
  /// The zip form: `STEM/data.pkl`, `STEM/data/KEY` for each storage, `STEM/byteorder`, and bookkeeping.
  static func readZip(_ bytes: FileBytes) throws(FormatError) -> StateDict {
    let archive = try ZipArchive(bytes)
    let pickles = archive.entries.filter {
      $0.name.hasSuffix("/data.pkl") && $0.name.split(separator: "/").count == 2
    }
    guard let entry = pickles.first, pickles.count == 1 else {
      throw .malformed("a zip archive with \(pickles.count) entries data.pkl; a file of torch.save has one")
    }
    let stem = entry.name.dropLast("data.pkl".count)
    guard archive.contents(stem + "constants.pkl") == nil else {
      throw .unsupported(
        "a TorchScript archive; save the weights alone with torch.save(model.state_dict(), …)")
    }
    if let order = archive.contents(stem + "byteorder"), !order.elementsEqual(Array("little".utf8)) {
      throw .unsupported("a file of byte order \(order.printableText); little is read")
    }
    let (objects, length) = try PickleMachine.read(entry.contents, part: "data.pkl")
    guard length == entry.contents.count else {
      throw .malformed("data.pkl has \(entry.contents.count - length) bytes after its end")
    }
    let source = PyTorchSource(format: .pytorch, file: bytes, objects: objects)
    return try source.stateDict { (storage) throws(FormatError) -> FileBytes in
      guard let key = objects.string(storage.key), let data = archive.contents("\(stem)data/\(key)") else {
        throw .malformed("storage \(objects.raw(storage.key).printableText) is not in the file")
      }
      return data
    }
  }

  /// The legacy form: five pickles in a row (magic number, protocol version, system, the object, the
  /// storages' keys), then per key the element count (i64) and the data.
  static func readLegacy(_ bytes: FileBytes) throws(FormatError) -> StateDict {
    var position = 0
    func next(_ part: String) throws(FormatError) -> PickledObjects {
      guard let rest = bytes.slice(at: position, count: bytes.count - position), rest.count > 0 else {
        throw .truncated(part: "the file", position: bytes.count)
      }
      let (objects, length) = try PickleMachine.read(rest, part: part)
      position += length
      return objects
    }
    let magic = try next("the file's first pickle")
    guard case .longInteger(let number) = magic.root, magic.raw(number).elementsEqual(magicNumber) else {
      throw .noStateDict("a Python pickle that torch.save did not write, of \(magic.root.kind)")
    }
    guard case .integer(1001) = try next("the protocol version").root else {
      throw .unsupported("a legacy PyTorch file of a protocol other than 1001")
    }
    let system = try next("the system's description")
    guard case .bool(true) = system.value(in: system.root, under: "little_endian") else {
      throw .unsupported("a file that is not little-endian")
    }
    let objects = try next("the object's pickle")
    let keys = try next("the list of storages")
    let storages = try legacyStorages(bytes, from: position, objects: objects, keys: keys)
    let source = PyTorchSource(format: .pytorchLegacy, file: bytes, objects: objects)
    return try source.stateDict { (storage) throws(FormatError) -> FileBytes in
      guard let key = objects.string(storage.key), let data = storages[key] else {
        throw .malformed("storage \(objects.raw(storage.key).printableText) is not in the file")
      }
      return data
    }
  }

  /// 0x1950a86a20f9469cfc6c, little-endian.
  private static let magicNumber: [UInt8] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]

  private static func legacyStorages(
    _ bytes: FileBytes, from start: Int, objects: PickledObjects, keys: PickledObjects
  ) throws(FormatError) -> [String: FileBytes] {
    guard case .list(let index) = keys.root else {
      throw .malformed("the list of storages is \(keys.root.kind)")
    }
    var elementBytes: [String: Int] = [:]
    for storage in objects.storages {
      if let key = objects.string(storage.key) { elementBytes[key] = storage.elementByteCount }
    }
    guard let rest = bytes.slice(at: start, count: bytes.count - start) else { return [:] }
    var reader = ByteReader(rest, part: "the file's data")
    var result: [String: FileBytes] = [:]
    for value in keys.containers[Int(index)] {
      guard case .text(let text) = value, let key = keys.string(text), let size = elementBytes[key] else {
        throw .malformed("a storage is listed that no tensor uses")
      }
      let count = try reader.integer(as: Int64.self)
      let (byteCount, overflow) = count.multipliedReportingOverflow(by: Int64(size))
      guard !overflow, result.updateValue(try reader.take(byteCount), forKey: key) == nil else {
        throw .malformed("storage \(printable(key)) is there twice, or absurdly large (\(count) elements)")
      }
    }
    guard reader.remaining == 0 else {
      throw .malformed("\(reader.remaining) bytes after the last storage")
    }
    return result
  }
}

/// The object that a file of `torch.save` holds, and the search for the state_dict in it.
private struct PyTorchSource {
  let format: WeightFormat
  let file: FileBytes
  let objects: PickledObjects

  /// Keys under which training scripts keep the state_dict of a checkpoint, in order of preference.
  private static let usualKeys = [
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params",
  ]
  /// Prefixes that wrappers put before every name: DataParallel and torch.compile.
  private static let wrapperPrefixes = ["module.", "_orig_mod."]
  /// How deep a state_dict may lie in dicts of dicts.
  private static let maximumDepth = 8

  func stateDict(
    _ locate: (PickledStorage) throws(FormatError) -> FileBytes
  ) throws(FormatError) -> StateDict {
    var notes: [String] = []
    let dict = try findStateDict(&notes)
    var tensors: [WeightTensor] = []
    var names: Set<String> = []
    for (key, value) in entries(of: dict) {
      guard case .tensor(let index) = value else { continue }
      guard case .text(let text) = key, let name = objects.string(text) else {
        throw .malformed("a tensor's name is \(key.kind) that is not UTF-8 text")
      }
      guard names.insert(name).inserted else {
        throw .tensor(name: printable(name), problem: "is there twice")
      }
      tensors.append(try tensor(objects.tensors[Int(index)], name: name, locate))
    }
    for prefix in Self.wrapperPrefixes where tensors.allSatisfy({ $0.name.hasPrefix(prefix) }) {
      tensors = tensors.map { $0.renamed(String($0.name.dropFirst(prefix.count))) }
      notes.append("prefix \(prefix) taken from every name")
    }
    return StateDict(format: format, tensors: tensors, fileByteCount: file.count, notes: notes)
  }

  private func entries(of dict: UInt32) -> [(PickleValue, PickleValue)] {
    let items = objects.containers[Int(dict)]
    return stride(from: 0, to: items.count - 1, by: 2).map { (items[$0], items[$0 + 1]) }
  }

  private func hasTensors(_ dict: UInt32) -> Bool {
    entries(of: dict).contains { if case .tensor = $0.1 { true } else { false } }
  }

  /// Follows the usual keys, or the only dict with tensors, down to the state_dict.
  private func findStateDict(_ notes: inout [String]) throws(FormatError) -> UInt32 {
    guard case .dict(var dict) = objects.root else {
      throw .noStateDict("the file holds \(objects.root.kind), not a dict of tensors")
    }
    var path: [String] = []
    while path.count < Self.maximumDepth {
      if let (key, inner) = Self.usualKeys.lazy.compactMap({ inner(dict, $0) }).first {
        path.append(key)
        dict = inner
      } else if hasTensors(dict) {
        if !path.isEmpty { notes.append("weights read from \(path.joined(separator: "."))") }
        return dict
      } else {
        let (key, inner) = try onlyInner(dict)
        path.append(key)
        dict = inner
      }
    }
    throw .noStateDict("dicts nested deeper than \(Self.maximumDepth)")
  }

  private func inner(_ dict: UInt32, _ key: String) -> (String, UInt32)? {
    guard case .dict(let inner) = objects.value(in: .dict(dict), under: key) else { return nil }
    let holdsMore = entries(of: inner).contains {
      switch $0.1 {
      case .tensor, .dict: true
      default: false
      }
    }
    return holdsMore ? (key, inner) : nil
  }

  private func onlyInner(_ dict: UInt32) throws(FormatError) -> (String, UInt32) {
    var found: [(String, UInt32)] = []
    var names: [String] = []
    // One dict may be there under many keys, and is looked into once.
    var seen: Set<UInt32> = []
    for (key, value) in entries(of: dict) {
      guard case .text(let text) = key else { continue }
      if names.count < 8 { names.append(objects.raw(text).printableText) }
      if case .dict(let inner) = value, seen.insert(inner).inserted, hasTensors(inner) {
        found.append((objects.raw(text).printableText, inner))
      }
    }
    if found.count == 1 { return found[0] }
    guard found.isEmpty else {
      let names = found.prefix(8).map(\.0).joined(separator: ", ")
      throw .noStateDict("several dicts of tensors (\(names)), none called state_dict")
    }
    throw .noStateDict(
      names.isEmpty ? "the dict has no tensors" : "no tensors in the dict of \(names.joined(separator: ", "))"
    )
  }

  private func tensor(
    _ pickled: PickledTensor, name: String, _ locate: (PickledStorage) throws(FormatError) -> FileBytes
  ) throws(FormatError) -> WeightTensor {
    let storage = objects.storages[Int(pickled.storage)]
    guard let elementType = storage.elementType ?? pickled.elementType else {
      throw .tensor(name: printable(name), problem: "names no element type")
    }
    let data = try locate(storage)
    let size = storage.elementByteCount
    guard data.count / size == storage.count, data.count % size == 0 else {
      throw .tensor(
        name: printable(name),
        problem:
          "its storage should hold \(storage.count) elements of \(size) bytes and has \(data.count) bytes")
    }
    guard let view = data.slice(at: storage.view.lowerBound * size, count: storage.view.count * size) else {
      throw .tensor(name: printable(name), problem: "its view reaches beyond its storage")
    }
    return try WeightTensor(
      name: name, elementType: elementType, shape: pickled.shape, strides: pickled.strides,
      offset: pickled.offset,
      storage: view, fileByteCount: file.count)
  }
}
