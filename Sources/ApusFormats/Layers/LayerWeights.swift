import ApusEngine

/// The tensors of a weight file by the layers that they belong to, which take them one after the other.
struct LayerWeights {
  /// The tensors of one layer: those whose names agree but for the last part.
  struct Group {
    /// Empty for tensors whose names have one part.
    let name: String
    fileprivate(set) var tensors: [String: WeightTensor] = [:]
  }

  private var groups: [Group] = []
  private var isTaken: [Bool] = []
  private let fileByteCount: Int
  private let owner: (any AnyObject & Sendable)?
  private var numbersTaken = 0

  init(_ stateDict: StateDict) {
    fileByteCount = stateDict.fileByteCount
    owner = stateDict.owner
    var places: [String: Int] = [:]
    for tensor in stateDict.tensors {
      let (name, role) = Self.split(tensor.name)
      let place = places[name] ?? groups.count
      if place == groups.count {
        places[name] = place
        groups.append(Group(name: name))
      }
      groups[place].tensors[role] = tensor
    }
    isTaken = groups.map { _ in false }
  }

  /// `features.0.weight` into `features.0` and `weight`.
  private static func split(_ name: String) -> (group: String, role: String) {
    guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return ("", name) }
    return (String(name[..<dot]), String(name[name.utf8.index(after: dot)...]))
  }

  /// The tensors of a layer.
  ///
  /// - Parameters:
  ///   - name: as the architecture says it; nil: those that come next in the file.
  ///   - layer: for messages.
  /// - Throws: `FormatError.architecture` where there are none, or another layer has taken them.
  mutating func take(_ name: String?, for layer: String) throws(FormatError) -> Group {
    guard let name else {
      guard let place = isTaken.firstIndex(of: false) else {
        throw .architecture("\(layer): the file has no weights left for it")
      }
      isTaken[place] = true
      return groups[place]
    }
    guard let place = groups.firstIndex(where: { $0.name == name }) else {
      let names = groups.map { "'\(printable($0.name))'" }.prefix(50).joined(separator: ", ")
      throw .architecture("\(layer): the file has no weights of that name; it has those of \(names)")
    }
    guard !isTaken[place] else { throw .architecture("\(layer): another layer has taken these weights") }
    isTaken[place] = true
    return groups[place]
  }

  /// The numbers of one of a layer's tensors, or nil where it is not there.
  ///
  /// - Throws: `FormatError` for what is of another shape, holds no floating-point numbers, or a NaN; and
  ///   where the layers have more numbers than the file has bytes, as many names may share one storage.
  mutating func tensor(
    _ role: String, of group: Group, for layer: String, shape: (([Int]) -> Bool, String)
  ) throws(FormatError) -> Tensor? {
    guard let tensor = group.tensors[role] else { return nil }
    let name = printable(tensor.name)
    guard shape.0(tensor.shape) else {
      throw .architecture("\(layer): \(name) is \(printable(tensor.shape)), and must be \(shape.1)")
    }
    guard tensor.elementType.isFloatingPoint else {
      throw .tensor(
        name: name, problem: "\(tensor.elementType.rawValue); weights must be floating-point numbers")
    }
    numbersTaken += tensor.elementCount
    guard numbersTaken <= fileByteCount else {
      throw .architecture(
        "\(layer): the layers up to here have \(numbersTaken) numbers, more than the file has bytes "
          + "(\(fileByteCount)): too many tensors share one storage")
    }
    return try soundTensor(tensor, keptBy: owner, keepsHalf: false)
  }

  /// Refuses tensors of a layer that it does not have.
  func check(_ group: Group, only roles: [String], for layer: String) throws(FormatError) {
    for role in group.tensors.keys.sorted() where !roles.contains(role) {
      throw .architecture("\(layer): it has no \(printable(role)), which the file has for it")
    }
  }

  /// - Throws: `FormatError.architecture` that names weights of no layer.
  func checkAllTaken() throws(FormatError) {
    let left = zip(groups, isTaken).filter { !$0.1 }.flatMap { $0.0.tensors.values.map(\.name) }.sorted()
    guard let first = left.first else { return }
    let others = left.count > 1 ? " and \(left.count - 1) more" : ""
    throw .architecture(
      "no layer uses the weights \(printable(first))\(others); list each layer that has weights under "
        + "architecture.layers in model.yaml")
  }
}
