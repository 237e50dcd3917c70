import ApusBase
import CApusKernels

/// The trees of an ensemble as `apus_trees_add` walks them. Everything that a walk relies on is made here,
/// from a `TreeEnsemble`, whose nodes are checked: no walk leaves its group, and each ends in a leaf.
///
/// Invariant of the unsafe code: the pointers in `groups` are to places in `memory`, which never changes once
/// it is made.
final class TreeGroups: @unchecked Sendable {
  private let memory: AlignedBuffer
  private let groups: [apus_tree_group]
  private let described: [apus_tree_slot]
  /// Where the weights of each leaf begin; empty where each has one.
  private let starts: [UInt32]
  private let weights: [apus_leaf_weight]
  /// Whether each score is added to for every row (1) or for none (0); nil where it hangs on the row.
  let fixedPresence: [UInt8]?
  let trees: Int

  /// Integers that stand for one row.
  var slots: Int { described.count + 1 }

  /// - Parameter targets: how many scores there are.
  init(_ ensemble: TreeEnsemble, targets: Int) {
    var slots = TreeSlots()
    var layouts: [TreeGroupLayout] = []
    let isSingle = ensemble.leavesAreSingle
    var leaves = TreeLeaves(isSingle: isSingle)
    let count = Int(APUS_TREES)
    for first in stride(from: 0, to: ensemble.roots.count, by: count) {
      let roots = ensemble.roots[first..<min(first + count, ensemble.roots.count)]
      layouts.append(TreeGroupLayout(ensemble, roots: Array(roots), &slots, &leaves))
    }
    let slotCount = slots.described.count + 1
    let offsets = layouts.reduce(into: [0]) { offsets, layout in
      offsets.append(offsets[offsets.count - 1] + (layout.byteCount(slots: slotCount) + 63) & ~63)
    }
    let memory = AlignedBuffer(byteCount: offsets[offsets.count - 1])
    groups = zip(layouts, offsets).map { layout, offset in
      layout.write(to: memory.baseAddress + offset, slots: slotCount)
    }
    self.memory = memory
    described = slots.described
    starts = leaves.starts
    weights = leaves.weights
    trees = ensemble.trees
    fixedPresence = ensemble.presence(targets: targets)
  }

  /// Adds what each row's leaves weigh to `sums`, `targets` of them for each row.
  ///
  /// Invariant: `input` covers `rows` rows of `columns` floats, as many as the trees ask for; `rowSlots`
  /// covers `rows` times `slots` integers, and `there`, if it is not nil, as many bytes as there are sums.
  func add(
    rows: Int, _ input: UnsafePointer<Float>, columns: Int, rowSlots: UnsafeMutablePointer<Int32>,
    sums: UnsafeMutablePointer<Float>, targets: Int, there: UnsafeMutablePointer<UInt8>?
  ) {
    apus_trees_slots(rows, input, columns, slots, described, rowSlots)
    if starts.isEmpty {
      apus_trees_add(rows, rowSlots, slots, groups.count, groups, nil, nil, sums, targets, nil)
    } else {
      apus_trees_add(rows, rowSlots, slots, groups.count, groups, starts, weights, sums, targets, there)
    }
  }
}

/// What rows are compared by: each feature once for each side that NaN goes to, and each comparison with a
/// number.
struct TreeSlots {
  private struct Key: Hashable {
    let column: UInt32
    let missing: Int32
    /// Of a comparison: the number's bits.
    let value: UInt32?
  }

  private(set) var described: [apus_tree_slot] = []
  private var places: [Key: UInt32] = [:]

  mutating func place(column: Int32, missing: Int32, comparedWith value: Float? = nil) -> UInt32 {
    let key = Key(column: UInt32(column), missing: missing, value: value?.bitPattern)
    if let place = places[key] { return place }
    let place = UInt32(described.count)
    described.append(
      apus_tree_slot(
        column: key.column, is_comparison: value != nil, value: value ?? 0, missing: missing))
    places[key] = place
    return place
  }
}

/// The weights of leaves that have more than one, by the leaf's number.
struct TreeLeaves {
  let isSingle: Bool
  private(set) var starts: [UInt32]
  private(set) var weights: [apus_leaf_weight] = []

  init(isSingle: Bool) {
    self.isSingle = isSingle
    starts = isSingle ? [] : [0]
  }

  /// What a leaf's node holds: its weight's bits or its number.
  mutating func payload(_ leaf: ArraySlice<TreeEnsemble.Weight>) -> Int32 {
    if isSingle, let weight = leaf.first { return Int32(bitPattern: Float(weight.value).bitPattern) }
    weights += leaf.map { apus_leaf_weight(weight: Float($0.value), target: UInt32($0.target)) }
    starts.append(UInt32(weights.count))
    return Int32(starts.count - 2)
  }
}

extension TreeEnsemble {
  func weights(of leaf: Node) -> ArraySlice<Weight> {
    weights[Int(leaf.first)..<Int(leaf.first) + Int(leaf.second)]
  }

  /// Calls `body` with the nodes of a tree.
  private func forEachNode(of root: Int32, _ body: (Node) -> Void) {
    var open = [root]
    while let index = open.popLast() {
      let node = nodes[Int(index)]
      body(node)
      if node.mode != .leaf { open += [node.first, node.second] }
    }
  }

  /// Whether each leaf has one weight, of the same target as the others of its tree.
  fileprivate var leavesAreSingle: Bool {
    roots.allSatisfy { root in
      var target: Int?
      var isSingle = true
      forEachNode(of: root) { node in
        guard node.mode == .leaf, isSingle else { return }
        let weight = weights[Int(node.first)]
        isSingle = node.second == 1 && (target ?? weight.target) == weight.target
        target = weight.target
      }
      return isSingle
    }
  }

  /// For each target whether every row has a leaf with a weight for it; nil where for one of them some rows
  /// have and others may not.
  fileprivate func presence(targets: Int) -> [UInt8]? {
    var isAlways = [Bool](repeating: false, count: targets)
    var isEver = isAlways
    // Leaves of the present tree that have a weight for it, and the last of all leaves that has.
    var leavesWith = [Int](repeating: 0, count: targets)
    var lastLeaf = leavesWith
    var leaf = 0
    for root in roots {
      let before = leaf
      var touched: [Int] = []
      forEachNode(of: root) { node in
        guard node.mode == .leaf else { return }
        leaf += 1
        for weight in weights(of: node) where lastLeaf[weight.target] != leaf {
          if lastLeaf[weight.target] <= before { touched.append(weight.target) }
          lastLeaf[weight.target] = leaf
          leavesWith[weight.target] += 1
        }
      }
      for target in touched {
        isEver[target] = true
        if leavesWith[target] == leaf - before { isAlways[target] = true }
        leavesWith[target] = 0
      }
    }
    return isAlways == isEver ? isAlways.map { $0 ? 1 : 0 } : nil
  }
}
