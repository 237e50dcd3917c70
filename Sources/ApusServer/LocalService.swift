import ApusAccess
package import ApusBase
import ApusEngine
import ApusFeatures
import ApusLog
package import ApusWire

/// The way for one thread inside the process to call models: by the same admission, limits and counters as a
/// reactor's calls, computed on the thread that calls, or by a worker where it takes long. Another thread may
/// use it too, but waits.
package final class LocalService: Sendable {
  let fleet: Fleet
  private let workspace: Locked<Workspace>

  private struct Workspace: ~Copyable {
    let recorder: Recorder
    var hidden: AlignedBuffer
    let accessRing: AccessRing
    /// Until then no row is handed on to count drift.
    var nextDriftSample = Instant(nanoseconds: 0)
    /// Calls that workers have, or will have.
    var callsWaiting = 0
  }

  init(fleet: Fleet, index: Int) {
    self.fleet = fleet
    let needed = fleet.catalog.needs.workspaceBytes
    workspace = Locked(
      Workspace(
        recorder: fleet.recorders[index], hidden: AlignedBuffer(byteCount: needed),
        accessRing: fleet.accessLog?.newRing() ?? .disabled))
  }

  /// Counts a connection of HTTP.
  package func connectionOpened() {
    workspace.withLock { workspace in
      workspace.recorder.add(.open, .http, 1)
      workspace.recorder.add(.total, .http, 1)
    }
  }

  package func connectionClosed() {
    workspace.withLock { workspace in workspace.recorder.add(.open, .http, 0 &- 1) }
  }

  /// Counts bytes of HTTP, without what TLS adds.
  package func moved(received: Int, sent: Int) {
    workspace.withLock { workspace in
      workspace.recorder.add(.receivedBytes, .http, UInt64(received))
      workspace.recorder.add(.sentBytes, .http, UInt64(sent))
    }
  }

  /// Counts time for which the service's thread looked for a next call.
  package func polled(nanoseconds: UInt64) {
    workspace.withLock { workspace in workspace.recorder.add(.pollingNanoseconds, nanoseconds) }
  }

  /// The versions of all models that the caller may read.
  package func models(of caller: LocalCaller) -> [ModelInfo] {
    fleet.catalog.models
      .filter { caller.standing?.allows(.read, model: $0.name) ?? true }
      .map(\.info)
  }

  /// Whether there is a model of this name, be it ready or not.
  ///
  /// - Throws: NOT_FOUND.
  package func require(model name: String) throws(Status) {
    do throws(Status) { _ = try find(name) } catch {
      if error.code == .notFound { throw error }
    }
  }

  /// The versions of a model that may be called, ascending.
  package func readyVersions(of name: String) -> [UInt64] {
    fleet.catalog.versions(of: name).filter { $0.plan != nil }.map(\.version)
  }

  /// The version that a call names, ready to be called.
  ///
  /// - Throws: NOT_FOUND, or UNAVAILABLE when it failed to load.
  ///
  /// - Parameters:
  ///   - routeKey: keeps a caller on one side of a canary; empty: `draw` decides.
  ///   - draw: a random number; `.max`: what most calls go to.
  package func find(
    _ name: String, version: UInt64 = 0, alias: String = "", routeKey: String = "",
    draw: UInt64 = .random(in: 0...UInt64.max)
  ) throws(Status) -> LocalModel {
    let catalog = fleet.catalog
    let bytes = (Array(name.utf8), Array(alias.utf8), Array(routeKey.utf8))
    let found: Result<Catalog.Choice, Status> = bytes.0.withUnsafeBytes { name in
      bytes.1.withUnsafeBytes { alias in
        bytes.2.withUnsafeBytes { routeKey in
          let selector = ModelSelector(name: name, version: version, alias: alias, routeKey: routeKey)
          do throws(Status) {
            return .success(try catalog.find(selector, draw: draw))
          } catch { return .failure(error) }
        }
      }
    }
    let choice = try found.get()
    let index = choice.index
    return LocalModel(
      served: catalog.models[index], slot: catalog.slots[index], nameNumber: catalog.nameNumbers[index],
      shadow: choice.shadow == index ? nil : choice.shadow.flatMap { catalog.models[$0].loaded })
  }
}

extension LocalService {
  /// The rows that a model makes of texts.
  ///
  /// - Throws: INVALID_ARGUMENT where the model takes none, or not so many.
  package func rows(of texts: [String], for model: LocalModel) throws(Status) -> [Float] {
    guard let features = model.served.features, !texts.isEmpty else {
      throw Status(
        .invalidArgument, "SHAPE_MISMATCH", "model '\(model.served.name)' takes \(model.served.taken)")
    }
    try model.served.check(rows: texts.count, fleet.limits)
    guard texts.count * model.inputs * 4 <= fleet.limits.slabBytes else {
      throw Status(
        .resourceExhausted, "BODY_LIMIT", "the texts become too many numbers; send fewer of them")
    }
    let scratch = FeatureScratch()
    var values = [Float](repeating: 0, count: texts.count * model.inputs)
    values.withUnsafeMutableBufferPointer { values in
      guard let rows = values.baseAddress else { return }
      for (row, text) in texts.enumerated() {
        Array(text.utf8).withUnsafeBytes {
          _ = features.vector(of: $0, into: rows + row * model.inputs, scratch: scratch)
        }
      }
    }
    return values
  }
}

/// A version that is ready.
package struct LocalModel: Sendable {
  package let served: ServedModel
  /// Where it is counted.
  let slot: Int
  /// Of its name, in the access log.
  let nameNumber: Int32
  /// The version that the call is mirrored to.
  let shadow: LoadedModel?

  /// Numbers in one row of the answer.
  package var classes: Int { served.plan?.outputs ?? 0 }
  /// Numbers in one row of the input.
  package var inputs: Int { served.plan?.inputs ?? 0 }
}

// MARK: Calls

/// What is asked of a model.
package struct LocalCall: Sendable {
  /// Rows of the model's inputs, one after another.
  package var values: [Float]
  package var rows: Int
  /// 0: every class, in index order.
  package var topK = 0
  package var wantsScores = false
  /// From the request's first byte; 0: no limit.
  package var timeoutNanoseconds: UInt64 = 0
  /// When the first byte of the request came, and when it was whole.
  package var begun: Instant
  package var received: Instant

  /// Of the whole request.
  package var requestBytes = 0
  package var isEncrypted = false
  /// Whose turn it is where calls wait; nil: the caller has not said it.
  package var priority: CallPriority?
  /// The trace that the call belongs to.
  package var trace = TraceParent.none

  package init(values: [Float], rows: Int, begun: Instant, received: Instant) {
    self.values = values
    self.rows = rows
    self.begun = begun
    self.received = received
  }
}

extension LocalCall {
  /// What the access log tells of it, but for how it ended.
  fileprivate func record(of model: LocalModel?, _ caller: LocalCaller?) -> AccessRecord {
    var record = AccessRecord()
    record.end = .now
    record.method = Method.classify.rawValue
    if let model {
      record.model = model.nameNumber
      record.version = model.served.version
    }
    record.rows = UInt32(truncatingIfNeeded: rows)
    record.requestBytes = UInt64(requestBytes)
    record.transport = isEncrypted ? .https : .http
    record.setTrace(trace)
    if let caller, !caller.name.isEmpty { record.identity = BoundedText(caller.name) }
    return record
  }
}

/// What a model answers: `classes` numbers a row.
package struct LocalAnswer: Sendable {
  package var rows: Int
  package var classes: Int
  package var probabilities: [Float]
  /// Empty where every class is answered in index order.
  package var indices: [UInt32] = []
  /// The head's raw outputs, every class in index order; empty unless asked for.
  package var scores: [Float] = []
  package var time = TimeAccount()

  /// The class of a place in a row.
  package func index(row: Int, place: Int) -> Int {
    indices.isEmpty ? place : Int(indices[row * classes + place])
  }
}

extension LocalService {
  /// Classifies on this thread.
  ///
  /// - Throws: INVALID_ARGUMENT for too many rows, RESOURCE_EXHAUSTED over a limit of the caller's,
  ///   DEADLINE_EXCEEDED when the call's time was over before it was computed.
  package func classify(
    _ call: LocalCall, with model: LocalModel, by caller: LocalCaller
  ) throws(Status) -> LocalAnswer {
    do throws(Status) {
      try check(call, model, caller)
      return try admitting(caller, rows: call.rows) { () throws(Status) in
        try workspace.withLock { workspace throws(Status) in
          let answer = try compute(call, model, &workspace)
          count(answer.time, of: call, model, caller, batchRows: call.rows, &workspace)
          return answer
        }
      }
    } catch {
      refuse(call, error, model, by: caller)
      throw error
    }
  }

  /// Counts and logs a call that gets no result.
  ///
  /// - Parameters:
  ///   - model: nil: none has been found.
  ///   - caller: nil: nobody knows who calls.
  package func refuse(
    _ call: LocalCall, _ status: Status, _ model: LocalModel?, by caller: LocalCaller?
  ) {
    workspace.withLock { workspace in
      workspace.recorder.add(.requests)
      workspace.recorder.refused(status)
      if let model { workspace.recorder.refused(model: model.slot, status.code) }
      var record = call.record(of: model, caller)
      record.totalNanoseconds = record.end.since(call.begun)
      record.code = UInt8(truncatingIfNeeded: status.code.rawValue)
      record.reason = BoundedText(status.reason)
      if record.totalNanoseconds >= workspace.accessRing.threshold { workspace.accessRing.append(record) }
    }
  }

  func check(_ call: LocalCall, _ model: LocalModel, _ caller: LocalCaller) throws(Status) {
    precondition(call.values.count == call.rows * model.inputs, "the rows are the model's")
    let longest = longestBody(of: caller)
    guard call.values.count * 4 <= longest else { throw .bodyTooLarge(longest) }
    try model.served.check(rows: call.rows, fleet.limits)
    guard call.rows * model.classes * 4 <= fleet.limits.bodyBytes else { throw .answerTooLarge }
  }

  private func compute(
    _ call: LocalCall, _ model: LocalModel, _ workspace: inout Workspace
  ) throws(Status) -> LocalAnswer {
    guard let plan = model.served.plan else { throw .modelNotReady }
    let begun = Instant.now
    if call.timeoutNanoseconds > 0, begun.since(call.begun) >= call.timeoutNanoseconds {
      throw .deadlinePassed
    }
    if workspace.hidden.bytes.count < plan.workspaceBytes {
      workspace.hidden = AlignedBuffer(byteCount: plan.workspaceBytes)
    }
    var answer = try Self.answer(call, plan, workspace.hidden)
    let computed = Instant.now
    answer.time = TimeAccount(
      CallTimes(
        firstByte: call.begun, received: call.received, begun: begun, computed: computed, rows: call.rows),
      written: computed)
    observe(call, model, at: begun, &workspace)
    return answer
  }

  /// Counts and logs a call that got its result.
  ///
  /// - Parameter batchRows: of the batch, which is counted by one of its calls alone; 0: this is not the one.
  private func count(
    _ time: TimeAccount, of call: LocalCall, _ model: LocalModel, _ caller: LocalCaller, batchRows: Int,
    _ workspace: inout Workspace
  ) {
    let recorder = workspace.recorder
    recorder.add(.requests)
    recorder.answered(model: model.slot, calls: 1, rows: call.rows, time)
    if batchRows > 0 { recorder.batch(model: model.slot, rows: batchRows) }
    guard time.total >= workspace.accessRing.threshold else { return }
    var record = call.record(of: model, caller)
    record.setTimes(time)
    workspace.accessRing.append(record)
  }

  func count(
    _ time: TimeAccount, of call: LocalCall, _ model: LocalModel, _ caller: LocalCaller, batchRows: Int
  ) {
    workspace.withLock { count(time, of: call, model, caller, batchRows: batchRows, &$0) }
  }

  var callsWaiting: Int { workspace.withLock { $0.callsWaiting } }

  func countWaiting(_ change: Int) {
    workspace.withLock { workspace in
      workspace.callsWaiting += change
      workspace.recorder.set(.inFlight, UInt64(workspace.callsWaiting))
    }
  }

  /// Hands on the rows of a call that is mirrored, or one row to count drift.
  private func observe(
    _ call: LocalCall, _ model: LocalModel, at now: Instant, _ workspace: inout Workspace
  ) {
    guard let loaded = model.served.loaded else { return }
    if model.shadow == nil {
      guard loaded.drift != nil, now >= workspace.nextDriftSample else { return }
      workspace.nextDriftSample = now.advanced(by: DriftCounters.periodNanoseconds)
    }
    let rows = model.shadow == nil ? 1 : call.rows
    fleet.administration?.observer.observe(
      loaded, shadow: model.shadow, values: Array(call.values.prefix(rows * loaded.plan.inputs)), rows: rows)
  }

  /// Invariant of the unsafe code: `hidden` has what the widest plan needs.
  private static func answer(
    _ call: LocalCall, _ plan: Plan, _ hidden: borrowing AlignedBuffer
  ) throws(Status) -> LocalAnswer {
    let classes = plan.outputs
    var values: [Float]
    do { values = try plan.scores(of: call.values, rows: call.rows, hidden) } catch {
      throw .inputRefused(error.description)
    }
    let scores = call.wantsScores ? values : []
    values.withUnsafeMutableBufferPointer { values in
      guard let values = values.baseAddress else { return }
      plan.probabilities(
        logits: values, logitsStride: classes, rows: call.rows, output: values, outputStride: classes)
    }
    var answer = LocalAnswer(rows: call.rows, classes: classes, probabilities: values, scores: scores)
    if call.topK > 0 { answer.keepBest(min(call.topK, classes)) }
    return answer
  }
}

extension LocalAnswer {
  /// Leaves the most probable classes of each row, the best first.
  fileprivate mutating func keepBest(_ most: Int) {
    var best = [Float](repeating: 0, count: rows * most)
    var indices = [UInt32](repeating: 0, count: rows * most)
    for row in 0..<rows {
      probabilities.withUnsafeBufferPointer { values in
        best.withUnsafeMutableBufferPointer { best in
          indices.withUnsafeMutableBufferPointer { indices in
            guard let values = values.baseAddress, let best = best.baseAddress,
              let indices = indices.baseAddress
            else { return }
            selectBest(
              values + row * classes, count: classes, into: best + row * most, indices + row * most,
              most: most)
          }
        }
      }
    }
    probabilities = best
    self.indices = indices
    classes = most
  }
}
