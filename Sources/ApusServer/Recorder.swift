import ApusBase
import ApusWire
import Synchronization

/// What a reactor counts about itself.
enum Counter: Int, CaseIterable {
  case connectionsOpen, connectionsTotal, requests, receivedBytes, sentBytes, systemCalls
  case tensorCopies, tensorCopiedBytes, polls, sleeps, protocolErrors
  /// 1 while the reactor sleeps.
  case asleep
}

/// One reactor's counters: it alone writes, anyone reads, nobody locks. A model's part costs memory only once
/// it has been called.
///
/// Invariant of the unsafe code here: `memory` is zeroed and holds `serverWords + models × modelWords` words;
/// every index below stays inside it.
final class Recorder: Sendable {
  private static let codeCount = 17
  /// Batches of 1, 2, 4 … 65,536 rows.
  static let batchSizes = 17
  private static let serverWords = 64
  /// Where the answers by code begin, behind a word for each `Counter`.
  private static let firstCode = 32
  private static let modelWords = 2 + codeCount + batchSizes + 3 * DurationHistogram.wordCount

  private let memory: MappedBuffer
  private nonisolated(unsafe) let words: UnsafeMutablePointer<Atomic<UInt64>>

  init(models: Int) {
    let byteCount = 8 * (Self.serverWords + models * Self.modelWords)
    guard let memory = MappedBuffer(byteCount: byteCount) else { fatalError("no memory for the counters") }
    words = memory.baseAddress.bindMemory(to: Atomic<UInt64>.self, capacity: byteCount / 8)
    self.memory = memory
  }

  @inline(__always)
  func add(_ counter: Counter, _ value: UInt64 = 1) { words[counter.rawValue].addFromOneThread(value) }

  func subtract(_ counter: Counter) { words[counter.rawValue].addFromOneThread(.max) }

  func answered(_ code: StatusCode, count: Int = 1) {
    words[Self.firstCode + Int(code.rawValue)].addFromOneThread(UInt64(count))
  }

  func value(_ counter: Counter) -> UInt64 { words[counter.rawValue].load(ordering: .relaxed) }
  func answers(_ code: StatusCode) -> UInt64 {
    words[Self.firstCode + Int(code.rawValue)].load(ordering: .relaxed)
  }

  private func model(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    words + Self.serverWords + index * Self.modelWords
  }

  /// One batch: so many calls of equal form, computed together.
  func batch(model index: Int, calls: Int, rows: Int, queue: UInt64, compute: UInt64, total: UInt64) {
    let model = model(index)
    model[0].addFromOneThread(UInt64(calls))
    model[1].addFromOneThread(UInt64(rows))
    model[2].addFromOneThread(UInt64(calls))
    let bucket = rows <= 1 ? 0 : min(Self.batchSizes - 1, Int.bitWidth - (rows - 1).leadingZeroBitCount)
    model[2 + Self.codeCount + bucket].addFromOneThread(1)
    histogram(index, 0).record(nanoseconds: total, count: UInt64(calls))
    histogram(index, 1).record(nanoseconds: queue, count: UInt64(calls))
    histogram(index, 2).record(nanoseconds: compute, count: UInt64(calls))
    answered(.ok, count: calls)
  }

  /// One call to a model that got no result.
  func refused(model index: Int, _ code: StatusCode) {
    let model = model(index)
    model[0].addFromOneThread(1)
    model[2 + Int(code.rawValue)].addFromOneThread(1)
  }

  func histogram(_ index: Int, _ stage: Int) -> DurationHistogram {
    DurationHistogram(
      memory: model(index) + 2 + Self.codeCount + Self.batchSizes + stage * DurationHistogram.wordCount)
  }

  func requests(model index: Int) -> UInt64 { model(index)[0].load(ordering: .relaxed) }
  func rows(model index: Int) -> UInt64 { model(index)[1].load(ordering: .relaxed) }
  func answers(model index: Int, _ code: StatusCode) -> UInt64 {
    model(index)[2 + Int(code.rawValue)].load(ordering: .relaxed)
  }
  func batches(model index: Int, _ bucket: Int) -> UInt64 {
    model(index)[2 + Self.codeCount + bucket].load(ordering: .relaxed)
  }
}
