import ApusBase
import ApusWire
import Glibc
import Synchronization

/// What a reactor counts about itself.
enum Counter: Int, CaseIterable {
  case connectionsOpen, requests, systemCalls
  case tensorCopies, tensorCopiedBytes, polls, sleeps, protocolErrors
  /// Time spent looking for the next call, without the calls that were found.
  case pollingNanoseconds
  /// Times that looking found something.
  case wakeUpsSaved
  /// Clients of lanes that were woken.
  case laneBells
  /// Calls that wait for the reactor itself to compute them.
  case callsWaiting
  /// Requests that are read and not answered yet.
  case inFlight
  /// Memory that the reactor holds, by what it is for.
  case largeFrameBytes, backlogBytes, answerBytes, workspaceBytes, arenaBytes
  /// 1 while the reactor sleeps.
  case asleep
}

/// How a connection reaches the server.
enum TransportKind: Int, CaseIterable {
  case unix, tcp, tls, http, lane
}

/// What a reactor counts of its connections, apart for each transport.
enum TransportCounter: Int, CaseIterable {
  case open, total, receivedBytes, sentBytes
}

/// What a call's time is divided into; a histogram each.
enum Stage: Int, CaseIterable {
  case total, queue, compute, receive, encode
}

/// One reactor's counters: it alone writes, anyone reads, nobody locks. Each version that can be called has a
/// slot, which costs memory only once the version has been called.
///
/// Invariant of the unsafe code here: `memory` is zeroed and holds `serverWords` words, of which the last
/// `chunkCount` are the addresses of chunks, each of `chunkSlots × modelWords` zeroed words that live as long
/// as this; `reserve` has been called for every slot that is used; every index below stays inside.
final class Recorder: Sendable {
  private static let codeCount = 17
  /// Batches of 1, 2, 4 … 65,536 rows.
  static let batchSizes = 17
  /// Where the answers by code begin, behind a word for each `Counter`, then the counters of transports, then
  /// the answers by reason.
  private static let firstCode = 64
  private static let firstTransport = 96
  private static let firstReason = 128
  private static let firstChunk = 256
  private static let chunkCount = 1024
  private static let chunkSlots = 64
  /// Versions that can be counted at one time.
  static let maximumSlots = chunkCount * chunkSlots
  private static let serverWords = firstChunk + chunkCount
  /// Whole pages, so that a slot's memory can be given back.
  private static let modelWords =
    (firstHistogram + Stage.allCases.count * DurationHistogram.wordCount + 511) & ~511
  /// The same, which a call reads without asking whether it has been worked out.
  private let modelWords = Recorder.modelWords
  private static let firstHistogram = 2 + codeCount + batchSizes

  private let memory: MappedBuffer
  private let chunks = Locked<[Chunk]>([])

  private final class Chunk: Sendable {
    let memory: MappedBuffer
    init() {
      guard let memory = MappedBuffer(byteCount: 8 * chunkSlots * modelWords) else {
        fatalError("no memory for the counters")
      }
      self.memory = memory
    }
  }
  private nonisolated(unsafe) let words: UnsafeMutablePointer<Atomic<UInt64>>

  init(models: Int) {
    let byteCount = 8 * Self.serverWords
    guard let memory = MappedBuffer(byteCount: byteCount) else { fatalError("no memory for the counters") }
    words = memory.baseAddress.bindMemory(to: Atomic<UInt64>.self, capacity: byteCount / 8)
    self.memory = memory
    reserve(slots: models)
  }

  /// Makes memory for slots below `slots`. Called by one thread at a time.
  func reserve(slots: Int) {
    precondition(slots <= Self.maximumSlots, "there are no slots left")
    chunks.withLock { chunks in
      while chunks.count * Self.chunkSlots < slots {
        let chunk = Chunk()
        words[Self.firstChunk + chunks.count].store(
          UInt64(UInt(bitPattern: chunk.memory.baseAddress)), ordering: .releasing)
        chunks.append(chunk)
      }
    }
  }

  /// Sets a slot to zero and gives its memory back. No thread may use it any more.
  func clear(slot: Int) {
    madvise(model(slot), 8 * Self.modelWords, MADV_DONTNEED)
  }

  @inline(__always)
  func add(_ counter: Counter, _ value: UInt64 = 1) { words[counter.rawValue].addFromOneThread(value) }

  func subtract(_ counter: Counter, _ value: UInt64 = 1) {
    words[counter.rawValue].addFromOneThread(0 &- value)
  }

  @inline(__always)
  func set(_ counter: Counter, _ value: UInt64) {
    words[counter.rawValue].store(value, ordering: .relaxed)
  }

  @inline(__always)
  func add(_ counter: TransportCounter, _ transport: TransportKind, _ value: UInt64) {
    words[Self.place(counter, transport)].addFromOneThread(value)
  }

  func value(_ counter: TransportCounter, _ transport: TransportKind) -> UInt64 {
    words[Self.place(counter, transport)].load(ordering: .relaxed)
  }

  @inline(__always)
  private static func place(_ counter: TransportCounter, _ transport: TransportKind) -> Int {
    firstTransport + transport.rawValue * 4 + counter.rawValue
  }

  /// One answer that is a status.
  func refused(_ status: Status) {
    answered(status.code)
    words[Self.firstReason + RefusalReason.index(of: status.reason)].addFromOneThread(1)
  }

  /// By `RefusalReason.index`.
  func refusals(reason: Int) -> UInt64 { words[Self.firstReason + reason].load(ordering: .relaxed) }

  var byteCount: Int {
    memory.bytes.count + chunks.withLock { $0.count } * 8 * Self.chunkSlots * Self.modelWords
  }

  func answered(_ code: StatusCode, count: Int = 1) {
    words[Self.firstCode + Int(code.rawValue)].addFromOneThread(UInt64(count))
  }

  func value(_ counter: Counter) -> UInt64 { words[counter.rawValue].load(ordering: .relaxed) }
  func answers(_ code: StatusCode) -> UInt64 {
    words[Self.firstCode + Int(code.rawValue)].load(ordering: .relaxed)
  }

  private func model(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    let chunk = words[Self.firstChunk + index / Self.chunkSlots].load(ordering: .acquiring)
    return UnsafeMutablePointer(bitPattern: UInt(chunk)).unsafelyUnwrapped
      + index % Self.chunkSlots * modelWords
  }

  /// Calls of equal form and times that got a result.
  func answered(model index: Int, calls: Int, rows: Int, _ times: TimeAccount) {
    let model = model(index)
    model[0].addFromOneThread(UInt64(calls))
    model[1].addFromOneThread(UInt64(rows))
    model[2].addFromOneThread(UInt64(calls))
    answered(.ok, count: calls)
    let calls = UInt64(calls)
    Self.histogram(model, .total).record(nanoseconds: times.total, count: calls)
    Self.histogram(model, .queue).record(nanoseconds: times.queue, count: calls)
    Self.histogram(model, .compute).record(nanoseconds: times.compute, count: calls)
    Self.histogram(model, .receive).record(nanoseconds: times.receive, count: calls)
    Self.histogram(model, .encode).record(nanoseconds: times.encode, count: calls)
  }

  /// Rows that were computed together.
  func batch(model index: Int, rows: Int) {
    let bucket = rows <= 1 ? 0 : min(Self.batchSizes - 1, Int.bitWidth - (rows - 1).leadingZeroBitCount)
    model(index)[2 + Self.codeCount + bucket].addFromOneThread(1)
  }

  /// One call to a model that got no result.
  func refused(model index: Int, _ code: StatusCode) {
    let model = model(index)
    model[0].addFromOneThread(1)
    model[2 + Int(code.rawValue)].addFromOneThread(1)
  }

  func histogram(_ index: Int, _ stage: Stage) -> DurationHistogram { Self.histogram(model(index), stage) }

  private static func histogram(
    _ model: UnsafeMutablePointer<Atomic<UInt64>>, _ stage: Stage
  ) -> DurationHistogram {
    DurationHistogram(memory: model + firstHistogram + stage.rawValue * DurationHistogram.wordCount)
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
