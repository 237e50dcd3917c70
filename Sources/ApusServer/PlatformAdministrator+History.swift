import ApusBase
import ApusLog
import ApusModels
import ApusWire

/// What was done, by whom: each act is a line of the audit log, before its caller has an answer.
extension PlatformAdministrator {
  /// Acts in one frame of an answer.
  private static let actsPerFrame = 20
  private static let mostActs = 10_000

  /// Keeps an act. Where the log cannot be written, that is an error of the server's own log: the act is
  /// done.
  mutating func audit(_ act: PendingAct, version: UInt64, detail: String, result: String) {
    do throws(ModelError) {
      if auditLog == nil {
        try platform.repository.makeWorkFolder()
        auditLog = try AuditLog(path: platform.repository.auditPath)
      }
      _ = try auditLog?.append(
        AuditEntry.Event(
          who: act.administrator.name, from: act.administrator.from, act: act.act, model: act.model,
          version: version, detail: detail, result: result))
    } catch { platform.log.write(.error, "the audit log has no line of \(act.act): \(error)") }
  }

  mutating func history(_ request: HistoryRequest, _ call: AdministrationCall) throws(Status) {
    if !request.model.isEmpty { try call.administrator.require(model: request.model) }
    let most = request.limit == 0 ? 100 : min(Int(request.limit), Self.mostActs)
    var acts: [Act] = []
    do throws(ModelError) {
      let entries = try auditLog?.entries(newest: most, model: request.model.isEmpty ? nil : request.model)
      let shown = entries?.filter { call.administrator.mayRead($0.event.model) }
      acts = shown?.map { Act($0) } ?? []
    } catch { throw Status(.dataLoss, "AUDIT_BROKEN", error.description) }
    var rest = acts[...]
    repeat {
      let response = HistoryResponse(acts: Array(rest.prefix(Self.actsPerFrame)))
      rest = rest.dropFirst(Self.actsPerFrame)
      call.reply.send(
        .success(encoded { response.encode(into: $0, arena: $1) }), isLast: rest.isEmpty)
    } while !rest.isEmpty
  }
}

extension Administrator {
  /// Whether acts on this model are shown; those on none are.
  func mayRead(_ model: String) -> Bool {
    do throws(Status) { try require(model: model) } catch { return false }
    return true
  }
}

extension Act {
  init(_ entry: AuditEntry) {
    self.init()
    sequence = entry.sequence
    timeNanoseconds = entry.nanoseconds
    who = entry.event.who
    from = entry.event.from
    act = entry.event.act
    model = entry.event.model
    version = entry.event.version
    detail = entry.event.detail
    result = entry.event.result
  }
}
