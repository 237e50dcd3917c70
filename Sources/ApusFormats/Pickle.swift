import ApusEngine
/// What a pickle holds, as flat arenas: values refer to each other by index, so that no nesting or sharing in
/// a file can make a walk or a release recurse.
struct PickledObjects {
  /// The pickle's own bytes; texts are ranges of it.
  let bytes: FileBytes
  var root = PickleValue.none
  /// Tuples, lists and dicts; a dict is key, value, key, value, …
  var containers: [[PickleValue]] = []
  var storages: [PickledStorage] = []
  var tensors: [PickledTensor] = []

  /// The text's characters, or nil where they are not valid UTF-8.
  func string(_ text: PickleText) -> String? { raw(text).text }

  func raw(_ text: PickleText) -> FileBytes {
    guard let part = bytes.slice(at: Int(text.offset), count: Int(text.count)) else {
      preconditionFailure("texts are ranges of the pickle")
    }
    return part
  }

  /// The value under a text key, the last one where a key is repeated (as in Python).
  func value(in dict: PickleValue, under key: String) -> PickleValue? {
    guard case .dict(let index) = dict else { return nil }
    let items = containers[Int(index)]
    let wanted = Array(key.utf8)
    for position in stride(from: items.count - 2, through: 0, by: -2) {
      if case .text(let text) = items[position], raw(text).elementsEqual(wanted) {
        return items[position + 1]
      }
    }
    return nil
  }
}

/// A range of the pickle's bytes.
struct PickleText: Equatable {
  let offset: UInt32
  let count: UInt32
}

/// One value of a pickle. Small and trivial, since a pickle's every byte can make one.
enum PickleValue: Equatable {
  case none
  case bool(Bool)
  case integer(Int64)
  /// An integer of more than 8 bytes, little-endian.
  case longInteger(PickleText)
  case text(PickleText)
  /// A value that no tensor needs: a number with a fraction, bytes, a set.
  case other
  case tuple(UInt32)
  case list(UInt32)
  case dict(UInt32)
  case global(PickleGlobal)
  case storage(UInt32)
  case tensor(UInt32)

  /// For messages.
  var kind: String {
    switch self {
    case .none: "None"
    case .bool: "a boolean"
    case .integer, .longInteger: "a number"
    case .text: "a text"
    case .other: "a value without tensors"
    case .tuple: "a tuple"
    case .list: "a list"
    case .dict: "a dict"
    case .global: "a type"
    case .storage: "a storage"
    case .tensor: "a tensor"
    }
  }
}

/// A persistent id `('storage', type, key, location, element count[, view])`: where a tensor's numbers are.
struct PickledStorage {
  /// nil for bytes whose type each tensor names.
  let elementType: ElementType?
  let key: PickleText
  /// Elements of the whole storage (bytes where `elementType` is nil).
  let count: Int
  /// The part that this reference means, in elements: files of before PyTorch 0.4 have views of storages.
  let view: Range<Int>

  var elementByteCount: Int { elementType?.byteCount ?? 1 }
}

/// A tensor as the pickle describes it; nothing of it has been compared with the storage.
struct PickledTensor {
  let storage: UInt32
  /// Set where the storage does not name the type.
  let elementType: ElementType?
  let offset: Int
  let shape: [Int]
  let strides: [Int]
}
