import ApusBase
import ApusEngine

/// Memory of one reactor that depends on the models it serves.
struct ModelBuffers: ~Copyable {
  /// For what layers hand on.
  let workspace: AlignedBuffer
  /// Probabilities of one block of rows, where they do not go straight into the answer.
  let scratch: AlignedBuffer
  let texts: TextRows

  init(_ needs: ModelNeeds, _ limits: Limits) {
    workspace = AlignedBuffer(byteCount: needs.workspaceBytes)
    scratch = AlignedBuffer(byteCount: 4 * needs.scratchFloats)
    texts = TextRows(floats: needs.textFloats, limits)
  }

  var byteCount: Int { workspace.bytes.count + scratch.bytes.count }
}

/// What the models of a catalog need at one time.
struct ModelNeeds: Equatable, Sendable {
  var workspaceBytes = 0
  var scratchFloats = 0
  /// 0: no model takes texts.
  var textFloats = 0

  init() {}

  init(_ models: [ServedModel]) {
    for model in models {
      guard let plan = model.plan else { continue }
      workspaceBytes = max(workspaceBytes, plan.workspaceBytes)
      scratchFloats = max(scratchFloats, plan.outputs * plan.blockRows)
      if model.features != nil { textFloats = max(textFloats, plan.inputs * TextRows.blockRows(plan)) }
    }
  }
}

/// The models that a reactor serves.
extension Reactor {
  /// Takes the newest catalog where there is a new one. The one before may be given up by it, so that this is
  /// called only where no call is under way.
  mutating func takeCatalog() {
    guard fleet.generation != catalog.generation else { return }
    let needs = catalog.needs
    catalog = fleet.catalog
    if catalog.needs != needs {
      buffers = ModelBuffers(catalog.needs, limits)
      recorder.set(.workspaceBytes, UInt64(buffers.byteCount))
    }
    fleet.adopted(catalog.generation, by: index)
  }
}
