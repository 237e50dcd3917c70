import ApusEngine
import Synchronization

/// What calls of a version cost: as its plan measured when it was loaded, corrected by what batches take
/// since then, on a machine that has other work as well.
final class ModelCost: Sendable {
  private let planned: RowCost
  /// What batches take of what was planned, in 1/1024.
  private let correction = Atomic<UInt64>(one)
  private static let one: UInt64 = 1024
  /// Of the newest batch in the mean.
  private static let weight: UInt64 = 16
  /// Of what was measured beyond the plan, what a refused call takes off.
  private static let doubt: UInt64 = 64

  init(_ planned: RowCost) { self.planned = planned }

  /// Whether rows cost less together than each by itself.
  var gainsFromBatches: Bool { planned.inBlock * 1.05 < planned.single }

  /// Nanoseconds of one batch.
  func nanoseconds(rows: Int) -> UInt64 { corrected(planned(rows)) }

  /// Nanoseconds of rows that wait, in batches of `mostRows`.
  func nanoseconds(waiting rows: Int, mostRows: Int) -> UInt64 {
    guard rows > 0 else { return 0 }
    let batches = (rows + mostRows - 1) / max(1, mostRows)
    return corrected(planned(rows) + Double(batches - 1) * surcharge)
  }

  /// Rows that take so many nanoseconds, at least one.
  func rows(in nanoseconds: UInt64) -> Int {
    let factor = Double(correction.load(ordering: .relaxed)) / Double(Self.one)
    let rest = Double(nanoseconds) / max(factor, 0.001) - surcharge
    return max(1, Int(min(rest / max(planned.inBlock, 0.1), 1e9)))
  }

  /// A batch has been computed.
  func measured(rows: Int, nanoseconds: UInt64) {
    let expected = max(planned(rows), 1)
    let ratio = min(max(Double(nanoseconds) / expected, 1 / 64), 64)
    let mean = correction.load(ordering: .relaxed)
    // One batch during which the machine did something else tells little.
    let newest = min(UInt64(ratio * Double(Self.one)), 4 * mean)
    let changed = (mean * (Self.weight - 1) + newest) / Self.weight
    correction.store(changed == mean ? (newest > mean ? mean + 1 : mean) : changed, ordering: .relaxed)
  }

  /// A call was refused, as it would take too long by what was measured. Where none is computed nothing is
  /// measured any more, so what was planned counts for a little more each time.
  func doubted() {
    let mean = correction.load(ordering: .relaxed)
    guard mean > Self.one else { return }
    correction.store(mean - max(1, (mean - Self.one) / Self.doubt), ordering: .relaxed)
  }

  /// What a batch costs beside its rows.
  private var surcharge: Double { max(0, planned.single - planned.inBlock) }

  private func planned(_ rows: Int) -> Double {
    min(planned.single * Double(rows), planned.inBlock * Double(rows) + surcharge)
  }

  private func corrected(_ nanoseconds: Double) -> UInt64 {
    UInt64(min(nanoseconds, 1e14)) * correction.load(ordering: .relaxed) / Self.one
  }
}
