import ApusBase
import ApusEngine

/// Memory of one thread that depends on the models it computes with.
struct ModelBuffers: ~Copyable {
  private let limits: Limits
  private var needs: ModelNeeds
  /// For what layers hand on.
  private(set) var workspace: AlignedBuffer
  /// Probabilities of one block of rows, where they do not go straight into the answer.
  private(set) var scratch: AlignedBuffer
  private(set) var texts: TextRows
  /// Rows of a batch that do not lie one behind the other.
  private var gathered = AlignedBuffer(byteCount: 0)
  /// Until then no row is handed on to count drift.
  var nextDriftSample = Instant(nanoseconds: 0)

  init(_ needs: ModelNeeds, _ limits: Limits) {
    self.needs = needs
    self.limits = limits
    workspace = AlignedBuffer(byteCount: needs.workspaceBytes)
    scratch = AlignedBuffer(byteCount: 4 * needs.scratchFloats)
    texts = TextRows(floats: needs.textFloats, limits)
  }

  var byteCount: Int { workspace.bytes.count + scratch.bytes.count + gathered.bytes.count }

  /// Makes room for one model more.
  mutating func fit(_ plan: Plan, takesTexts: Bool) {
    var grown = needs
    grown.add(plan, takesTexts: takesTexts)
    guard grown != needs else { return }
    if grown.workspaceBytes > needs.workspaceBytes {
      workspace = AlignedBuffer(byteCount: grown.workspaceBytes)
    }
    if grown.scratchFloats > needs.scratchFloats {
      scratch = AlignedBuffer(byteCount: 4 * grown.scratchFloats)
    }
    if grown.textFloats > needs.textFloats { texts = TextRows(floats: grown.textFloats, limits) }
    needs = grown
  }

  /// Memory for rows that are brought together.
  mutating func gathering(_ byteCount: Int) -> UnsafeMutableRawPointer {
    if gathered.bytes.count < byteCount { gathered = AlignedBuffer(byteCount: byteCount) }
    return gathered.baseAddress
  }
}

/// What models need at one time.
struct ModelNeeds: Equatable, Sendable {
  var workspaceBytes = 0
  var scratchFloats = 0
  /// 0: no model takes texts.
  var textFloats = 0

  init() {}

  init(_ models: [ServedModel]) {
    for model in models {
      if let plan = model.plan { add(plan, takesTexts: model.features != nil) }
    }
  }

  mutating func add(_ plan: Plan, takesTexts: Bool) {
    workspaceBytes = max(workspaceBytes, plan.workspaceBytes)
    scratchFloats = max(scratchFloats, plan.outputs * plan.blockRows)
    if takesTexts { textFloats = max(textFloats, plan.inputs * TextRows.blockRows(plan)) }
  }
}
