import CApusKernels

/// Up to eight trees in the order of their levels: the roots, then the roots' children, and so on, siblings
/// side by side.
struct TreeGroupLayout {
  private struct Place {
    var threshold: Int32 = 0
    /// nil: the slot that is above no threshold.
    var slot: UInt32?
    var child: UInt32
  }

  private var places: [Place]
  private var group = apus_tree_group()

  init(
    _ ensemble: TreeEnsemble, roots: [Int32], _ slots: inout TreeSlots, _ leaves: inout TreeLeaves
  ) {
    places = (0..<UInt32(APUS_TREES)).map { Place(child: $0) }
    group.trees = Int32(roots.count)
    var targets = [UInt32](repeating: 0, count: Int(APUS_TREES))
    var level = roots.enumerated().map { (node: $1, place: $0, tree: $0) }
    var steps: Int32 = 0
    var least: Int32?
    while !level.isEmpty {
      var next: [(node: Int32, place: Int, tree: Int)] = []
      for (index, place, tree) in level {
        let node = ensemble.nodes[Int(index)]
        if node.mode == .leaf {
          let weights = ensemble.weights(of: node)
          places[place] = Place(threshold: leaves.payload(weights), slot: nil, child: UInt32(place))
          if let weight = weights.first { targets[tree] = UInt32(weight.target) }
          least = least ?? steps
        } else {
          let branch = TreeBranch(node, &slots)
          let child = places.count
          places[place] = Place(threshold: branch.threshold, slot: branch.slot, child: UInt32(child))
          places += [Place(child: UInt32(child)), Place(child: UInt32(child + 1))]
          next.append((branch.first, child, tree))
          next.append((branch.second, child + 1, tree))
        }
      }
      level = next
      if !level.isEmpty { steps += 1 }
    }
    group.least_steps = least ?? 0
    group.most_steps = steps
    withUnsafeMutableBytes(of: &group.targets) { bytes in
      targets.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }
  }

  private func isWide(slots: Int) -> Bool { max(places.count, slots) > 1 << 16 }

  func byteCount(slots: Int) -> Int {
    let stride =
      isWide(slots: slots) ? MemoryLayout<apus_wide_tree_node>.stride : MemoryLayout<apus_tree_node>.stride
    return places.count * stride
  }

  /// Writes the nodes.
  ///
  /// Invariant: `memory` covers `byteCount(slots:)` bytes, aligned to 64.
  ///
  /// - Parameter slots: of a row, with the last one, that of leaves.
  func write(to memory: UnsafeMutableRawPointer, slots: Int) -> apus_tree_group {
    let isWide = isWide(slots: slots)
    for (index, place) in places.enumerated() {
      let slot = place.slot ?? UInt32(slots - 1)
      if isWide {
        memory.assumingMemoryBound(to: apus_wide_tree_node.self)[index] = apus_wide_tree_node(
          threshold: place.threshold, slot: slot, child: place.child)
      } else {
        memory.assumingMemoryBound(to: apus_tree_node.self)[index] = apus_tree_node(
          threshold: place.threshold, slot: UInt16(slot), child: UInt16(place.child))
      }
    }
    var group = group
    group.nodes = UnsafeRawPointer(memory)
    group.is_wide = isWide
    return group
  }
}

/// A branch as the question whether a slot is at most a threshold: then it leads to `first`.
private struct TreeBranch {
  let slot: UInt32
  let threshold: Int32
  let first: Int32
  let second: Int32

  init(_ node: TreeEnsemble.Node, _ slots: inout TreeSlots) {
    let ends = (whenTrue: node.first, whenFalse: node.second)
    switch node.mode {
    case .equal, .notEqual, .leaf:
      // Equal is 0, everything else 1; what a Float does not hold is equal to none.
      let value = Float(node.value)
      let isEqual = node.mode == .equal
      slot = slots.place(
        column: node.feature, missing: isEqual && node.missingIsTrue ? .min : .max,
        comparedWith: Double(value) == node.value ? value : .nan)
      threshold = 0
      (first, second) = isEqual ? (ends.whenTrue, ends.whenFalse) : (ends.whenFalse, ends.whenTrue)
    case .lessOrEqual, .less:
      slot = slots.place(column: node.feature, missing: node.missingIsTrue ? .min : .max)
      threshold = Self.greatest(below: node.value, orEqual: node.mode == .lessOrEqual) ?? .min
      (first, second) = (ends.whenTrue, ends.whenFalse)
    case .greaterOrEqual, .greater:
      // Asked the other way round: NaN is then the second's where it is true.
      slot = slots.place(column: node.feature, missing: node.missingIsTrue ? .max : .min)
      threshold = Self.greatest(below: node.value, orEqual: node.mode == .greater) ?? .max - 1
      (first, second) = (ends.whenFalse, ends.whenTrue)
    }
  }

  /// The integer that stands for the greatest Float below a number, or equal to it; nil for what is no
  /// number.
  private static func greatest(below value: Double, orEqual: Bool) -> Int32? {
    guard !value.isNaN else { return nil }
    var bound = Float(value)
    if Double(bound) > value { bound = bound.nextDown }
    return apus_trees_order(bound) - (Double(bound) == value && !orEqual ? 1 : 0)
  }
}
