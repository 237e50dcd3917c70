/// What each candidate takes for a layer, in nanoseconds, for a full bucket of rows; infinite where it is not
/// a candidate.
package struct KernelCosts: Equatable, Sendable {
  private var costs: [[Double]]

  package init() {
    costs = Array(repeating: Array(repeating: .infinity, count: Bucket.count), count: Kernel.allCases.count)
  }

  package subscript(kernel: Kernel, bucket: Int) -> Double {
    get { costs[Int(kernel.rawValue)][bucket] }
    set { costs[Int(kernel.rawValue)][bucket] = newValue }
  }
}

extension KernelCosts {
  /// A change of kernel must win more than this, or noise would decide.
  private static let changeGain = 1.1
  /// A second copy of the weights in memory must win more than this.
  private static let layoutGain = 1.2

  /// The kernel for each bucket. One layout of the weights is enough unless several are clearly worth their
  /// memory.
  package func choice(among candidates: [Kernel]) -> [Kernel] {
    let best = (0..<Bucket.count).map { bucket in candidates.map { self[$0, bucket] }.min() ?? .infinity }
    for layout in Kernel.Layout.allCases {
      let group = candidates.filter { $0.layout == layout }
      guard !group.isEmpty else { continue }
      let chosen = quickest(among: group)
      if chosen.indices.allSatisfy({ self[chosen[$0], $0] <= Self.layoutGain * best[$0] }) { return chosen }
    }
    return quickest(among: candidates)
  }

  private func quickest(among candidates: [Kernel]) -> [Kernel] {
    var kept = candidates[0]
    return (0..<Bucket.count).map { bucket in
      for candidate in candidates {
        let gain = candidate.layout == kept.layout ? Self.changeGain : Self.layoutGain
        if self[kept, bucket] > gain * self[candidate, bucket] { kept = candidate }
      }
      return kept
    }
  }
}

/// Inputs and outputs of a linear layer: what its costs hang on.
package struct LayerShape: Hashable, Sendable {
  package let inputs: Int
  package let outputs: Int

  package init(inputs: Int, outputs: Int) {
    self.inputs = inputs
    self.outputs = outputs
  }
}

/// Costs of layers by shape, and of programs, that were measured on this processor with this OpenBLAS. What
/// is known here need not be measured again.
package struct MeasuredCosts: Equatable, Sendable {
  package private(set) var layers: [LayerShape: KernelCosts] = [:]
  private var programs: [UInt64: ProgramTiming] = [:]

  /// Most shapes, and programs, that are kept and read from a text.
  static let mostLayers = 4096

  package init() {}

  /// Of shapes and programs.
  package var count: Int { layers.count + programs.count }

  package subscript(shape: LayerShape) -> KernelCosts? {
    get { layers[shape] }
    set { if layers[shape] != nil || layers.count < Self.mostLayers { layers[shape] = newValue } }
  }

  /// - Parameter key: of `ProgramTiming`.
  subscript(program key: UInt64) -> ProgramTiming? {
    get { programs[key] }
    set { if programs[key] != nil || programs.count < Self.mostLayers { programs[key] = newValue } }
  }

  package mutating func merge(_ other: MeasuredCosts) {
    for (shape, costs) in other.layers { self[shape] = costs }
    for (key, timing) in other.programs { self[program: key] = timing }
  }
}

// MARK: - As text

extension MeasuredCosts {
  /// A line for each shape: inputs, outputs, and for each kernel the nanoseconds of each bucket. Then a line
  /// for each program: its key, the rows of a block, and the nanoseconds of a row alone and in a block.
  package var text: String { layerText + programText }

  private var programText: String {
    programs.sorted { $0.key < $1.key }.map { key, timing in
      let costs = [timing.perRow.single, timing.perRow.inBlock].map { String(min($0, 1e15)) }
      return "program \(key) \(timing.blockRows) \(costs.joined(separator: " "))\n"
    }.joined()
  }

  private var layerText: String {
    let lines = layers.sorted { ($0.key.inputs, $0.key.outputs) < ($1.key.inputs, $1.key.outputs) }
    return lines.map { shape, costs in
      let numbers = Kernel.allCases.flatMap { kernel in
        (0..<Bucket.count).map { bucket in
          let cost = costs[kernel, bucket]
          return cost.isFinite ? String(Int(min(cost, 1e15).rounded())) : "-"
        }
      }
      return "\(shape.inputs) \(shape.outputs) \(numbers.joined(separator: " "))\n"
    }.joined()
  }

  /// Reads what `text` wrote; lines that are no costs are left out.
  package init(text: Substring) {
    for line in text.split(separator: "\n").prefix(2 * Self.mostLayers) {
      let fields = line.split(separator: " ")
      if fields.first == "program" {
        readProgram(fields)
        continue
      }
      guard fields.count == 2 + Kernel.allCases.count * Bucket.count, let inputs = Int(fields[0]),
        let outputs = Int(fields[1])
      else { continue }
      var costs = KernelCosts()
      for (kernel, group) in zip(Kernel.allCases, 0...) {
        for bucket in 0..<Bucket.count {
          let cost = UInt64(fields[2 + group * Bucket.count + bucket]).map { Double($0) }
          costs[kernel, bucket] = cost ?? .infinity
        }
      }
      guard costs.isComplete else { continue }
      self[LayerShape(inputs: inputs, outputs: outputs)] = costs
    }
  }

  private mutating func readProgram(_ fields: [Substring]) {
    guard fields.count == 5, let key = UInt64(fields[1]), let rows = Int(fields[2]), rows > 0,
      let single = Double(fields[3]), let inBlock = Double(fields[4]), (0...1e15).contains(single),
      (0...1e15).contains(inBlock)
    else { return }
    self[program: key] = ProgramTiming(
      blockRows: rows, perRow: RowCost(single: single, inBlock: inBlock))
  }
}

extension KernelCosts {
  /// Whether there is a kernel for each bucket.
  fileprivate var isComplete: Bool {
    (0..<Bucket.count).allSatisfy { bucket in Kernel.allCases.contains { self[$0, bucket].isFinite } }
  }
}
