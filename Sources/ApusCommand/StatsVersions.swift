import ApusJSON
import ApusWire

/// What `apus stats` says of versions beyond their calls: how far these have moved from the samples, and
/// where shadows disagree.
enum StatsVersions {
  /// Inputs that are named, those that have moved the farthest.
  static let namedInputs = 3

  static let driftHeadings = ["MODEL", "VERSION", "ROWS SEEN", "DRIFT OF CLASSES", "DRIFT OF INPUTS"]
  static let shadowHeadings = ["MODEL", "VERSION", "ROWS MIRRORED", "DISAGREEMENTS", "CALLS DROPPED"]

  /// A row for each version that has samples to be compared with.
  static func driftRows(_ models: [ModelStats]) -> [[String]] {
    models.compactMap { model in
      model.drift.map { drift in
        let isSeen = drift.rowsTotal > 0
        return [
          model.model, String(model.version), String(drift.rowsTotal),
          isSeen ? formatted(drift.classes, "%.3f") : "-", isSeen ? worstInputs(drift) : "-",
        ]
      }
    }
  }

  /// For example `17: 1.204, 3: 0.310`: places in an input, from 0, and their indices. Where there are too
  /// many inputs for the server to tell of each, the one that has moved the farthest.
  private static func worstInputs(_ drift: Drift) -> String {
    var inputs = drift.inputs.enumerated().map { (place: $0.offset, index: $0.element) }
    if inputs.isEmpty { inputs = [(Int(drift.largestInputIndex), drift.largestInput)] }
    let worst = inputs.filter { $0.index > 0 }.sorted { ($1.index, $0.place) < ($0.index, $1.place) }
    let texts = worst.prefix(namedInputs).map { "\($0.place): \(formatted($0.index, "%.3f"))" }
    return texts.isEmpty ? "none" : texts.joined(separator: ", ")
  }

  /// A row for each version that calls are mirrored to.
  static func shadowRows(_ models: [ModelStats]) -> [[String]] {
    models.compactMap { model in
      model.shadow.map { shadow in
        let share = 100 * Double(shadow.disagreementsTotal) / Double(max(shadow.rowsTotal, 1))
        return [
          model.model, String(model.version), String(shadow.rowsTotal),
          "\(shadow.disagreementsTotal) (\(formatted(share, "%.2f")) %)", String(shadow.droppedTotal),
        ]
      }
    }
  }

  /// A table of each, where there is something to say.
  static func print(_ models: [ModelStats]) {
    print(driftHeadings, driftRows(models), rightAligned: [1, 2, 3])
    print(shadowHeadings, shadowRows(models), rightAligned: [1, 2, 3, 4])
  }

  private static func print(_ headings: [String], _ rows: [[String]], rightAligned: Set<Int>) {
    guard !rows.isEmpty else { return }
    Swift.print()
    var table = Table(headings, rightAligned: rightAligned)
    for row in rows { table.add(row) }
    table.print()
  }
}

// MARK: JSON, with the names of proto/apus.proto

extension Drift {
  var json: JSON {
    [
      "classes": .number(classes), "inputs": .array(inputs.map { .number($0) }),
      "rows_total": .integer(rowsTotal), "largest_input": .number(largestInput),
      "largest_input_index": .integer(largestInputIndex),
    ]
  }
}

extension Shadow {
  var json: JSON {
    [
      "rows_total": .integer(rowsTotal), "disagreements_total": .integer(disagreementsTotal),
      "dropped_total": .integer(droppedTotal),
    ]
  }
}
