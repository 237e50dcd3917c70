import Testing

@testable import ApusFormats

@Suite("Pickles and the PyTorch file around them")
struct PickleTests {
  let weight = Pickled.tensor(Pickled.storage(count: 6), shape: [2, 3], strides: [3, 1])
  let bias = Pickled.tensor(Pickled.storage(key: "1", count: 2), shape: [2], strides: [1])
  let storages = ["0": littleEndian([0, 1, 2, 3, 4, 5]), "1": littleEndian([10, 11])]

  private func message(_ object: [UInt8]) throws -> String {
    try #require(refusal(of: torchFile(object, storages: storages))).description
  }

  @Test("A file made by hand is read, so that the refusals below mean something")
  func sound() throws {
    let tensors = try readTensors(
      torchFile(Pickled.dict([("fc.weight", weight), ("fc.bias", bias)]), storages: storages))
    #expect(tensors.map(\.values) == [[0, 1, 2, 3, 4, 5], [10, 11]])
  }

  @Test(
    "Every name outside of the list is refused",
    arguments: [
      ("os", "system"), ("torch", "load"), ("torch.storage", "_load_from_bytes"),
      ("torch._utils", "__builtins__"),
      ("collections", "defaultdict"), ("numpy.core.multiarray", "_reconstruct"), ("builtins", "exec"),
    ])
  func forbiddenNames(module: String, name: String) throws {
    let call = Pickled.global(module, name) + [0x29, 0x52]
    #expect(
      refusal(of: torchFile(Pickled.dict([("a", call)]), storages: [:]))
        == .forbiddenName("\(module).\(name)"))
  }

  @Test("A name with control characters or of a megabyte makes one short line")
  func hostileNames() throws {
    let text = try message(Pickled.global("os\u{1b}[2J", String(repeating: "x", count: 1 << 20)))
    #expect(text.contains("os\\u{1B}[2J") && text.count < 400)
  }

  @Test("Tags are no functions: calling a storage type or a data type is refused")
  func tagsAreNotCalled() throws {
    for name in ["FloatStorage", "float32"] {
      #expect(try message(Pickled.global("torch", name) + [0x29, 0x52]).contains("calls"))
    }
    #expect(try message([0x5d, 0x29, 0x52]).contains("calls a list"))
    #expect(try message(weight + [0x7d, 0x62]).contains("state of a tensor"))
  }

  @Test("Storages of types that are not read are named")
  func unsupportedStorage() throws {
    let object = Pickled.dict([
      ("w", Pickled.tensor(Pickled.storage("QInt8Storage", count: 1), shape: [1], strides: [1]))
    ])
    #expect(try message(object).contains("torch.QInt8Storage"))
    let complex = Pickled.dict([
      ("w", Pickled.tensor(Pickled.storage("ComplexFloatStorage", count: 3), shape: [3], strides: [1]))
    ])
    #expect(try message(complex).contains("complex64"))
  }

  @Test(
    "A view must lie in its storage, whatever the numbers",
    arguments: [
      (offset: 4, shape: [3], strides: [1]), (0, [2, 3], [4, 1]), (0, [7], [1]), (Int.max, [1], [1]),
      (0, [2, 2], [Int.max, 1]), (1, [Int.max], [1]), (0, [Int.max, Int.max], [0, 0]), (0, [2], [-1]),
      (0, [-1], [1]),
      (0, [1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1, 1]), (0, [2, 3], [1]),
    ])
  func views(offset: Int, shape: [Int], strides: [Int]) throws {
    let tensor = Pickled.tensor(Pickled.storage(count: 6), offset: offset, shape: shape, strides: strides)
    _ = try message(Pickled.dict([("fc.weight", tensor)]))
  }

  @Test("A view of one element may have any stride, and a stride of 0 repeats elements")
  func oddViews() throws {
    let one = Pickled.tensor(Pickled.storage(count: 6), offset: 5, shape: [1, 1], strides: [.max, .max])
    let repeated = Pickled.tensor(Pickled.storage(count: 6), offset: 2, shape: [2, 3], strides: [1, 0])
    let tensors = try readTensors(torchFile(Pickled.dict([("a", one), ("b", repeated)]), storages: storages))
    #expect(tensors.map(\.values) == [[5], [2, 2, 2, 3, 3, 3]])
  }

  @Test("Repeated elements cannot ask for more memory than a multiple of the file")
  func expandedViews() throws {
    let wide = Pickled.tensor(Pickled.storage(count: 6), shape: [1 << 40], strides: [0])
    #expect(try message(Pickled.dict([("w", wide)])).contains("more elements than the file has bytes"))
    // 60 tensors of 500 × 1 over the same storage.
    var layers: [(String, [UInt8])] = []
    for index in 0..<60 {
      let shape = index % 2 == 0 ? [500, 1] : [1, 500]
      layers.append(
        ("\(index).weight", Pickled.tensor(Pickled.storage(count: 6), shape: shape, strides: [0, 0])))
      let outputs = [shape[0]]
      layers.append(
        ("\(index).bias", Pickled.tensor(Pickled.storage(count: 6), shape: outputs, strides: [0])))
    }
    #expect(try message(Pickled.dict(layers)).contains("share one storage"))
  }

  @Test("Copies of a shared list are paid for: 30,000 OrderedDicts of 30,000 pairs do not fit")
  func copiedLists() throws {
    var object: [UInt8] = [0x5d, 0x71, 0]  // list, memo 0
    object += [0x28] + [UInt8](repeating: 0x29, count: 1) + [0x30]  // mark, a tuple, taken off again
    object += [0x4e, 0x4e, 0x86, 0x71, 1, 0x30]  // a pair, memo 1
    for _ in 0..<30_000 { object += [0x68, 1] }
    object += [0x65]  // APPENDS
    for _ in 0..<30_000 {
      object += Pickled.global("collections", "OrderedDict") + [0x68, 0, 0x85, 0x52, 0x30]
    }
    #expect(try message(object).contains("steps"))
  }

  @Test("A million nested tuples and a tuple that holds itself twice, 60 times over, are nothing special")
  func nesting() throws {
    let deep = [0x29] + [UInt8](repeating: 0x85, count: 1 << 20)
    #expect(try message(deep).contains("a tuple"))
    var bomb: [UInt8] = [0x29]
    for _ in 0..<60 { bomb += [0x32, 0x86] }
    #expect(try message(Pickled.dict([("fc", bomb)])).contains("no tensors"))
  }

  @Test("A list that holds itself is no endless walk")
  func cycles() throws {
    #expect(
      try message([0x7d, 0x71, 0] + Pickled.text("model") + [0x68, 0, 0x73]).contains("nested deeper"))
  }

  @Test("A dict that is there under 200,000 keys is looked into once, and hyperparameters are no weights")
  func sharedDicts() throws {
    var object: [UInt8] = [0x7d, 0x71, 0, 0x30, 0x68, 0, 0x28]
    for _ in 0..<200_000 { object += [0x4e, 0x4e] }
    object += [0x75, 0x30, 0x7d, 0x28]
    for index in 0..<200_000 {
      object += [0x8c, 3] + Array(littleEndian(UInt32(index) + 0x20_2020)[..<3]) + [0x68, 0]
    }
    #expect(try message(object + [0x75]).contains("no tensors"))
    let named = Pickled.dict([
      ("model", Pickled.dict([("hidden", Pickled.number(3))])),
      ("w", Pickled.dict([("fc.weight", weight), ("fc.bias", bias)])),
    ])
    #expect(try readTensors(torchFile(named, storages: storages)).count == 2)
  }

  @Test("The stack's rules hold: marks, underflow, bytes after the end")
  func stackRules() throws {
    #expect(try message([0x28, 0x85]).contains("empty stack"))
    #expect(try message([0x74]).contains("no mark"))
    #expect(try message([0x7d, 0x28, 0x4e, 0x75]).contains("without a value"))
    #expect(try message([0x4e, 0x4e, 0x61]).contains("adds items to None"))
    #expect(try message([0xff]).contains("0xff"))
    #expect(try message(weight + [0x2e, 0x4e]).contains("after its end"))
  }

  @Test("Prefixes of wrappers are taken off, repeated names are refused")
  func names() throws {
    let wrapped = torchFile(
      Pickled.dict([
        ("model_state_dict", Pickled.dict([("module.fc.weight", weight), ("module.fc.bias", bias)]))
      ]),
      storages: storages)
    try withStateDict(wrapped) { (stateDict) throws(FormatError) in
      #expect(stateDict.tensors.map(\.name) == ["fc.weight", "fc.bias"])
      #expect(stateDict.notes.count == 2)
    }
    #expect(try message(Pickled.dict([("w", weight), ("w", weight)])).contains("twice"))
  }

  @Test("A dict of several dicts of tensors is ambiguous, one alone is taken")
  func nestedCheckpoints() throws {
    let weights = Pickled.dict([("fc.weight", weight), ("fc.bias", bias)])
    let one = torchFile(
      Pickled.dict([("epoch", Pickled.number(3)), ("classifier", weights)]), storages: storages)
    #expect(try readTensors(one).count == 2)
    #expect(
      try message(Pickled.dict([("generator", weights), ("critic", weights)])).contains("generator, critic"))
  }

  @Test("Other byte orders, TorchScript and compressed files are named")
  func otherArchives() throws {
    let object = Pickled.file(Pickled.dict([("w", weight)]))
    let big = ZipBuilder([
      ("a/data.pkl", object), ("a/byteorder", Array("big".utf8)), ("a/data/0", storages["0"]!),
    ])
    #expect(refusal(of: big.bytes)?.description.contains("byte order big") == true)
    let script = ZipBuilder([("a/data.pkl", object), ("a/constants.pkl", object)])
    #expect(refusal(of: script.bytes)?.description.contains("TorchScript") == true)
    let two = ZipBuilder([("a/data.pkl", object), ("b/data.pkl", object)])
    #expect(refusal(of: two.bytes)?.description.contains("2 entries data.pkl") == true)
  }
}
