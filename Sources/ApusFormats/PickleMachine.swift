import ApusEngine
/// Reads one pickle: a stack machine over bytes that builds values and never calls anything.
///
/// Every opcode is at least one byte long and adds at most one value, or moves values that are there; what
/// copies values is charged for them. Time and memory are therefore bounded by the pickle's size and
/// `maximumSteps`.
struct PickleMachine {
  /// Opcodes of one pickle; a tensor takes about 40.
  static let maximumSteps = 2 << 20
  /// Tensors and storages of one pickle.
  static let maximumTensors = 65_536
  /// Bytes of a storage's key: a number in the zip form, an address in the legacy form.
  static let maximumKeyBytes = 255
  /// Bytes of one pickle, without the storages; texts are 32-bit ranges of it.
  static let maximumBytes = 256 << 20

  private(set) var objects: PickledObjects
  var reader: ByteReader
  private var stack: [PickleValue] = []
  /// Depths of the stack at which a MARK lies.
  private var marks: [Int] = []
  private var memo: [UInt32: PickleValue] = [:]
  private var steps = 0

  private init(_ bytes: FileBytes, part: String) {
    objects = PickledObjects(bytes: bytes)
    reader = ByteReader(bytes, part: part)
  }

  /// Reads the pickle at the start of `bytes`.
  ///
  /// - Parameter part: what is read, for messages.
  /// - Returns: what it holds, and its length in bytes.
  static func read(_ bytes: FileBytes, part: String) throws(FormatError) -> (PickledObjects, byteCount: Int) {
    let window = bytes.slice(at: 0, count: min(bytes.count, maximumBytes)) ?? bytes
    var machine = PickleMachine(window, part: part)
    while try machine.step() {}
    return (machine.objects, machine.reader.position)
  }

  // MARK: - Stack

  func failure(_ problem: String) -> FormatError {
    .malformed("\(reader.part): \(problem) (pickle, before byte \(reader.position))")
  }

  /// Counts work that grows faster than the bytes read.
  private mutating func charge(_ count: Int) throws(FormatError) {
    steps += count
    guard steps <= Self.maximumSteps else {
      throw .unsupported("a pickle of more than \(Self.maximumSteps) steps (\(reader.part))")
    }
  }

  mutating func push(_ value: PickleValue) { stack.append(value) }

  /// Takes the top value, which must lie above the last mark.
  mutating func pop() throws(FormatError) -> PickleValue {
    guard stack.count > marks.last ?? 0 else { throw failure("takes a value from an empty stack") }
    return stack.removeLast()
  }

  /// The top value, which stays.
  private func top() throws(FormatError) -> PickleValue {
    guard let value = stack.last, stack.count > marks.last ?? 0 else {
      throw failure("takes a value from an empty stack")
    }
    return value
  }

  /// Takes everything above the last mark, and the mark.
  private mutating func popToMark() throws(FormatError) -> [PickleValue] {
    guard let mark = marks.popLast() else { throw failure("has no mark on the stack") }
    let values = Array(stack[mark...])
    stack.removeSubrange(mark...)
    return values
  }

  private mutating func add(_ values: [PickleValue]) -> UInt32 {
    objects.containers.append(values)
    return UInt32(objects.containers.count - 1)
  }

  // MARK: - Opcodes

  /// Runs one opcode; false after STOP.
  private mutating func step() throws(FormatError) -> Bool {
    try charge(1)
    let byte = try reader.byte()
    guard let opcode = PickleOpcode(rawValue: byte) else {
      throw failure("unknown opcode 0x\(String(byte, radix: 16))")
    }
    switch opcode {
    case .stop:
      objects.root = try pop()
      return false
    case .proto:
      let version = try reader.byte()
      guard version <= 5 else { throw .unsupported("pickle protocol \(version) (\(reader.part))") }
    case .frame:
      let length = try reader.integer(as: UInt64.self)
      guard length <= reader.remaining else { throw failure("a frame of \(length) bytes does not fit") }
    case .none, .newTrue, .newFalse, .int, .binInt, .binInt1, .binInt2, .long, .long1, .long4, .float,
      .binFloat:
      push(try number(opcode))
    case .string, .binString, .shortBinString, .unicode, .binUnicode, .shortBinUnicode, .binUnicode8,
      .binBytes,
      .shortBinBytes, .binBytes8, .byteArray8:
      push(try text(opcode))
    case .mark, .pop, .popMark, .duplicate, .put, .binPut, .longBinPut, .memoize, .get, .binGet, .longBinGet:
      try moveValues(opcode)
    case .emptyTuple, .tuple, .tuple1, .tuple2, .tuple3, .emptyList, .list, .emptyDict, .dict, .emptySet,
      .frozenSet:
      try makeContainer(opcode)
    case .append, .appends, .setItem, .setItems, .addItems:
      try fillContainer(opcode)
    case .global, .stackGlobal, .reduce, .build, .inst, .obj, .newObj, .newObjEx, .persistentID,
      .binPersistentID,
      .ext1, .ext2, .ext4, .nextBuffer, .readOnlyBuffer:
      try makeObject(opcode)
    }
    return true
  }

  private mutating func moveValues(_ opcode: PickleOpcode) throws(FormatError) {
    switch opcode {
    case .mark: marks.append(stack.count)
    case .pop:
      if let mark = marks.last, mark == stack.count { marks.removeLast() } else { _ = try pop() }
    case .popMark: _ = try popToMark()
    case .duplicate: push(try top())
    case .put: memo[try memoIndexText()] = try top()
    case .binPut: memo[UInt32(try reader.byte())] = try top()
    case .longBinPut: memo[try reader.integer(as: UInt32.self)] = try top()
    case .memoize: memo[UInt32(memo.count)] = try top()
    case .get: push(try remembered(try memoIndexText()))
    case .binGet: push(try remembered(UInt32(try reader.byte())))
    default: push(try remembered(try reader.integer(as: UInt32.self)))
    }
  }

  private func remembered(_ index: UInt32) throws(FormatError) -> PickleValue {
    guard let value = memo[index] else { throw failure("memo \(index) was never stored") }
    return value
  }

  private mutating func makeContainer(_ opcode: PickleOpcode) throws(FormatError) {
    switch opcode {
    case .emptyTuple: push(.tuple(add([])))
    case .tuple: push(.tuple(add(try popToMark())))
    case .tuple1: push(.tuple(add([try pop()])))
    case .tuple2:
      let second = try pop()
      push(.tuple(add([try pop(), second])))
    case .tuple3:
      let third = try pop()
      let second = try pop()
      push(.tuple(add([try pop(), second, third])))
    case .emptyList: push(.list(add([])))
    case .list: push(.list(add(try popToMark())))
    case .emptyDict: push(.dict(add([])))
    case .dict:
      let items = try popToMark()
      guard items.count % 2 == 0 else { throw failure("a dict has a key without a value") }
      push(.dict(add(items)))
    case .emptySet: push(.other)
    default:
      _ = try popToMark()
      push(.other)
    }
  }

  private mutating func fillContainer(_ opcode: PickleOpcode) throws(FormatError) {
    var items: [PickleValue]
    switch opcode {
    case .append: items = [try pop()]
    case .setItem:
      let value = try pop()
      items = [try pop(), value]
    default: items = try popToMark()
    }
    let target = try top()
    switch (opcode, target) {
    case (.append, .list(let index)), (.appends, .list(let index)):
      objects.containers[Int(index)].append(contentsOf: items)
    case (.setItem, .dict(let index)), (.setItems, .dict(let index)):
      guard items.count % 2 == 0 else { throw failure("a dict has a key without a value") }
      objects.containers[Int(index)].append(contentsOf: items)
    case (_, .other): break
    default: throw failure("adds items to \(target.kind)")
    }
  }

  // MARK: - Objects

  private mutating func makeObject(_ opcode: PickleOpcode) throws(FormatError) {
    switch opcode {
    case .global:
      let module = try reader.line()
      let name = try reader.line()
      push(.global(try global(module: module, name: name)))
    case .stackGlobal:
      guard case .text(let name) = try pop(), case .text(let module) = try pop() else {
        throw failure("a global's name is not a text")
      }
      push(.global(try global(module: objects.raw(module), name: objects.raw(name))))
    case .inst:
      let module = try reader.line()
      let name = try reader.line()
      _ = try global(module: module, name: name)
      throw .forbiddenName("\(module.printableText).\(name.printableText)")
    case .reduce:
      let arguments = try pop()
      push(try rebuild(try pop(), arguments))
    case .newObj:
      let arguments = try pop()
      guard case .global(.orderedDict) = try pop(), case .tuple(let index) = arguments,
        objects.containers[Int(index)].isEmpty
      else { throw failure("makes an object that is not a tensor") }
      push(.dict(add([])))
    case .build:
      // The state of a dict is its `_metadata`; no other value that is let in here has one.
      _ = try pop()
      let target = try top()
      guard case .dict = target else { throw failure("sets the state of \(target.kind)") }
    case .binPersistentID:
      push(.storage(try storage(try pop())))
    case .ext1: throw .forbiddenName("extension \(try reader.byte()) of Python's copyreg registry")
    case .ext2:
      throw .forbiddenName("extension \(try reader.integer(as: UInt16.self)) of Python's copyreg registry")
    case .ext4:
      throw .forbiddenName("extension \(try reader.integer(as: UInt32.self)) of Python's copyreg registry")
    default: throw failure("makes an object that is not a tensor (opcode \(opcode))")
    }
  }

  /// The tag for a name; a name outside of the list is refused, as a class where an object of it is made
  /// next.
  private func global(module: FileBytes, name: FileBytes) throws(FormatError) -> PickleGlobal {
    let names = (module.printableText, name.printableText)
    do {
      return try PickleGlobal(module: names.0, name: names.1)
    } catch .forbiddenName(let full) {
      throw makesObjectNext() || names.0.hasPrefix("torch.nn.") ? .pickledClass(full) : .forbiddenName(full)
    } catch {
      throw error
    }
  }

  /// Whether `Class()` follows, the way Python pickles an `nn.Module`: EMPTY_TUPLE, NEWOBJ.
  private func makesObjectNext() -> Bool {
    var ahead = reader
    do {
      var opcode = PickleOpcode(rawValue: try ahead.byte())
      switch opcode {
      case .binPut: opcode = PickleOpcode(rawValue: try ahead.take(2)[1])
      case .longBinPut: opcode = PickleOpcode(rawValue: try ahead.take(5)[4])
      case .memoize: opcode = PickleOpcode(rawValue: try ahead.byte())
      default: break
      }
      return try opcode == .emptyTuple && ahead.byte() == PickleOpcode.newObj.rawValue
    } catch {
      return false
    }
  }

  private mutating func rebuild(
    _ function: PickleValue, _ argumentTuple: PickleValue
  ) throws(FormatError) -> PickleValue {
    guard case .global(let global) = function else { throw failure("calls \(function.kind)") }
    guard case .tuple(let index) = argumentTuple else { throw failure("the arguments are not a tuple") }
    let arguments = objects.containers[Int(index)]
    switch global {
    case .orderedDict: return .dict(try orderedDict(arguments))
    case .rebuildTensor where arguments.count == 4,
      .rebuildTensorV2 where (6...7).contains(arguments.count):
      return .tensor(try tensor(arguments, elementType: nil))
    case .rebuildTensorV3 where (7...8).contains(arguments.count):
      guard case .global(.elementType(let type)) = arguments[6] else {
        throw failure("the element type of a tensor is \(arguments[6].kind)")
      }
      return .tensor(try tensor(arguments, elementType: type))
    case .rebuildParameter where (3...4).contains(arguments.count):
      guard case .tensor = arguments[0] else { throw failure("a parameter is \(arguments[0].kind)") }
      return arguments[0]
    case .size where arguments.count == 1:
      guard case .tuple = arguments[0] else { throw failure("a size is \(arguments[0].kind)") }
      return arguments[0]
    case .plain: return .other
    default: throw failure("calls \(global) with \(arguments.count) arguments")
    }
  }

  /// `OrderedDict()` or `OrderedDict([(key, value), …])`, the form of Python 2.
  private mutating func orderedDict(_ arguments: [PickleValue]) throws(FormatError) -> UInt32 {
    guard let first = arguments.first else { return add([]) }
    guard arguments.count == 1, case .list(let index) = first else {
      throw failure("an OrderedDict is made from \(first.kind)")
    }
    let pairs = objects.containers[Int(index)]
    try charge(pairs.count)
    var items: [PickleValue] = []
    items.reserveCapacity(2 * pairs.count)
    for pair in pairs {
      switch pair {
      case .tuple(let index) where objects.containers[Int(index)].count == 2,
        .list(let index) where objects.containers[Int(index)].count == 2:
        items.append(contentsOf: objects.containers[Int(index)])
      default: throw failure("an item of an OrderedDict is not a pair")
      }
    }
    return add(items)
  }

  private mutating func tensor(
    _ arguments: [PickleValue], elementType: ElementType?
  ) throws(FormatError) -> UInt32 {
    guard objects.tensors.count < Self.maximumTensors else {
      throw .unsupported("a file of more than \(Self.maximumTensors) tensors")
    }
    guard case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
      let shape = integers(arguments[2]), let strides = integers(arguments[3])
    else { throw failure("a tensor's arguments have the wrong types") }
    objects.tensors.append(
      PickledTensor(
        storage: storage, elementType: elementType, offset: Int(offset), shape: shape, strides: strides))
    return UInt32(objects.tensors.count - 1)
  }

  /// The numbers of a tuple or list; nil where there are others, or too many for a shape.
  private func integers(_ value: PickleValue) -> [Int]? {
    let index: UInt32
    switch value {
    case .tuple(let tuple): index = tuple
    case .list(let list): index = list
    default: return nil
    }
    let items = objects.containers[Int(index)]
    guard items.count <= WeightTensor.maximumRank else { return nil }
    var result: [Int] = []
    for case .integer(let number) in items { result.append(Int(number)) }
    return result.count == items.count ? result : nil
  }

  /// Reads the persistent id of a storage.
  private mutating func storage(_ value: PickleValue) throws(FormatError) -> UInt32 {
    guard objects.storages.count < Self.maximumTensors else {
      throw .unsupported("a file of more than \(Self.maximumTensors) tensors")
    }
    guard case .tuple(let index) = value else { throw failure("a persistent id is \(value.kind)") }
    let fields = objects.containers[Int(index)]
    guard (5...6).contains(fields.count), case .text(let tag) = fields[0],
      objects.raw(tag).elementsEqual(Array("storage".utf8)), case .global(let type) = fields[1],
      case .text(let key) = fields[2], case .integer(let count) = fields[4], count >= 0,
      key.count <= Self.maximumKeyBytes
    else { throw failure("a persistent id is not a storage's") }
    let elementType: ElementType?
    switch type {
    case .storage(let named): elementType = named
    case .untypedStorage: elementType = nil
    default: throw failure("a storage's type is not one")
    }
    var view = 0..<Int(count)
    if fields.count == 6, case .tuple(let index) = fields[5] {
      view = try storageView(objects.containers[Int(index)], count: Int(count))
    }
    objects.storages.append(PickledStorage(elementType: elementType, key: key, count: Int(count), view: view))
    return UInt32(objects.storages.count - 1)
  }

  /// `(view key, offset, size)`, in elements.
  private func storageView(_ fields: [PickleValue], count: Int) throws(FormatError) -> Range<Int> {
    guard fields.count == 3, case .integer(let offset) = fields[1], case .integer(let size) = fields[2],
      offset >= 0, size >= 0, offset <= count, size <= Int64(count) - offset
    else { throw failure("a view reaches beyond its storage") }
    return Int(offset)..<Int(offset + size)
  }
}
