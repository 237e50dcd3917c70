import ApusBase
import ApusDigest
package import ApusEngine

/// Kernel times that were measured on this machine, kept in a folder from one start to the next: a layer of
/// a shape that is known is not measured again. Nothing hangs on it: what cannot be read is measured, what
/// cannot be written is kept in memory alone.
package final class PlanCache: Sendable {
  private let path: String?
  private let known: Locked<MeasuredCosts>

  /// What the times hold for: another processor, library or build has times of its own.
  private static var machine: String {
    #if DEBUG
      let build = "debug"
    #else
      let build = "release"
    #endif
    return "apus kernels 2, \(build), \(processorName), \(kernelLevelName), \(blasCoreName), "
      + blasConfiguration
  }

  /// - Parameter folder: made when something is written; nil: none.
  package init(folder: String?) {
    let machine = Self.machine
    path = folder.map { "\($0)/kernels-\(hexadecimal(sha256(of: machine)).prefix(16)).txt" }
    known = Locked(path.map { Self.read($0, machine) } ?? MeasuredCosts())
  }

  package var costs: MeasuredCosts { known.withLock { $0 } }

  /// Keeps what is new of a plan's costs.
  package func keep(_ costs: MeasuredCosts) {
    let text: String? = known.withLock { known in
      let before = known.count
      known.merge(costs)
      return known.count > before ? "\(Self.machine)\n\(known.text)" : nil
    }
    guard let path, let text else { return }
    try? Durable.writeScratch(Array(text.utf8), to: path)
  }

  private static func read(_ path: String, _ machine: String) -> MeasuredCosts {
    guard let file = try? MappedFile(path: path), file.bytes.count <= mostBytes,
      let text = String(validating: file.bytes, as: UTF8.self)
    else { return MeasuredCosts() }
    let lines = text.split(separator: "\n", maxSplits: 1)
    guard lines.count == 2, lines[0] == machine else { return MeasuredCosts() }
    return MeasuredCosts(text: lines[1])
  }

  private static let mostBytes = 4 << 20
}
