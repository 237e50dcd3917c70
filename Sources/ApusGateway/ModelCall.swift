import ApusAccess
import ApusBase
import ApusJSON
import ApusServer
import ApusWire
import HTTPTypes
import NIOCore

/// What is known of a connection whose request is looked at.
struct Peer {
  let service: LocalService
  let isEncrypted: Bool
  /// Whom the client's verified certificate names.
  let certificate: Caller?
}

/// A call of a model: begun by a request's head, whole with its body.
struct ModelCall {
  let form: CallRoute.Form
  let service: LocalService
  let caller: LocalCaller
  let model: LocalModel
  /// The client sends the body when it is told to (RFC 9110, section 10.1.1).
  let awaitsContinue: Bool
  /// Of the Open Inference Protocol's binary extension: the bytes of the body that are JSON.
  let headerLength: String?
  private(set) var body = ByteBuffer()
  /// The call without its rows.
  private var call: LocalCall
  private let longestBody: Int

  /// JSON spends up to so many bytes on a number of 4.
  private static let bytesPerByte = 8
  private static let traceParent = HTTPField.Name("traceparent")
  /// Keeps a caller on one side of a canary.
  static let routeKey = HTTPField.Name("Apus-Route-Key")
  private static let priorityField = HTTPField.Name("Apus-Priority")
  static let headerLength = HTTPField.Name("Inference-Header-Content-Length")

  /// Finds out who calls, and the model, before the body is looked at.
  ///
  /// - Throws: what refuses the caller, the model, or a body that is too long or compressed.
  static func begin(
    _ route: CallRoute, _ head: HTTPRequest, by peer: Peer, _ frontend: Frontend
  ) throws -> ModelCall {
    var blank = LocalCall(values: [], rows: 0, begun: .now, received: .now)
    blank.isEncrypted = peer.isEncrypted
    blank.trace = traceParent.flatMap { head.headerFields[$0] }.flatMap { TraceParent($0) } ?? .none
    var caller: LocalCaller?
    var model: LocalModel?
    do {
      let known = try frontend.caller(head, peer.service, peer.certificate)
      caller = known
      let key = routeKey.flatMap { head.headerFields[$0] } ?? ""
      let found = try frontend.model(of: route, key, peer.service, known)
      model = found
      blank.priority = try priority(head.headerFields)
      let call = ModelCall(route.form, head.headerFields, peer.service, known, found, blank)
      try call.checkBody(head.headerFields)
      return call
    } catch {
      peer.service.refuse(blank, Problem.of(error).rpcStatus, model, by: caller)
      throw error
    }
  }

  /// - Throws: INVALID_ARGUMENT for a text that is no priority.
  private static func priority(_ fields: HTTPFields) throws(Problem) -> CallPriority? {
    guard let text = priorityField.flatMap({ fields[$0] }) else { return nil }
    guard let priority = CallPriority(name: text) else {
      throw .badRequest("PRIORITY_UNKNOWN", "Apus-Priority must be one of \(CallPriority.names)")
    }
    return priority
  }

  private init(
    _ form: CallRoute.Form, _ fields: HTTPFields, _ service: LocalService, _ caller: LocalCaller,
    _ model: LocalModel,
    _ call: LocalCall
  ) {
    self.form = form
    self.service = service
    self.caller = caller
    self.model = model
    self.call = call
    awaitsContinue = fields[.expect]?.lowercased() == "100-continue"
    headerLength = Self.headerLength.flatMap { fields[$0] }
    longestBody = service.longestBody(of: caller) * Self.bytesPerByte + 4096
  }

  private func checkBody(_ fields: HTTPFields) throws {
    if let text = fields[.contentLength], let length = Int(text), length > longestBody { throw bodyTooLong }
    guard fields[.contentEncoding]?.lowercased() ?? "identity" == "identity" else {
      throw Problem(
        .unsupportedMediaType, .invalidArgument, "CONTENT_ENCODING",
        "bodies are taken as they are; compress none")
    }
  }

  private var bodyTooLong: Status {
    Status(
      .resourceExhausted, "BODY_LIMIT", "the body may have at most \(longestBody) bytes; send fewer rows")
  }

  /// - Throws: RESOURCE_EXHAUSTED when the body, or all bodies together, become too long.
  mutating func append(_ piece: ByteBuffer, in bodies: BodyBudget) throws(Status) {
    do throws(Status) {
      let (own, more) = (body.readableBytes, piece.readableBytes)
      guard own + more <= longestBody else { throw bodyTooLong }
      guard bodies.take(more, behind: own) else { throw .memoryExhausted }
    } catch {
      service.refuse(call, error, model, by: caller)
      throw error
    }
    var piece = piece
    if body.readableBytes == 0 { body = piece } else { body.writeBuffer(&piece) }
  }
}

extension ModelCall {
  /// What a body asks, and how its answer is written.
  typealias Question = (call: LocalCall, answer: (LocalAnswer) -> Answer)

  /// What has become of a call whose body is whole.
  enum Progress {
    case answered(Answer)
    /// A worker computes it.
    case waiting(WaitingAnswer)
  }

  /// Answers the call, whose body is whole, or lets it wait for a worker.
  ///
  /// - Parameters:
  ///   - flow: the connection's calls in the workers' queue.
  ///   - whenComputed: makes what tells this thread that the answer is there.
  mutating func begin(
    of flow: Flow, in bodies: BodyBudget, whenComputed: () -> @Sendable () -> Void
  ) -> Progress {
    call.received = .now
    call.requestBytes = body.readableBytes
    let question: Question
    do {
      question = try read()
    } catch {
      let problem = Problem.of(error)
      service.refuse(call, problem.rpcStatus, model, by: caller)
      return .answered(problem.answer)
    }
    // The call has its own numbers from here on.
    releaseBody(to: bodies)
    do throws(Status) {
      let progress = try service.begin(
        question.call, with: model, by: caller, of: flow, whenComputed: whenComputed)
      switch progress {
      case .answered(let answer): return .answered(question.answer(answer).telling(of: model))
      case .waiting(let waiting):
        return .waiting(WaitingAnswer(call: waiting, service: service, model: model, make: question.answer))
      }
    } catch {
      return .answered(Problem(error).answer)
    }
  }

  mutating func releaseBody(to bodies: BodyBudget) {
    guard body.readableBytes > 0 else { return }
    bodies.give(body.readableBytes)
    body = ByteBuffer()
  }

  private func read() throws -> Question {
    switch form {
    case .classify: try Classify.read(self)
    case .tutorials: try Classify.readAsTutorials(self)
    case .inference: try Inference.read(self)
    }
  }

  /// A call of these rows.
  func call(_ input: (values: [Float], rows: Int)) -> LocalCall {
    var call = call
    call.values = input.values
    call.rows = input.rows
    return call
  }

  /// Reads JSON with `read`, which is given a scanner of it.
  static func scan<Result>(
    _ json: ByteBuffer, _ read: (inout JSONScanner) throws(JSONError) -> Result
  ) throws -> Result {
    try json.withUnsafeReadableBytes { bytes in
      var scanner = JSONScanner(bytes)
      do {
        let result = try read(&scanner)
        try scanner.end()
        return result
      } catch {
        throw Problem.badRequest("JSON_BROKEN", "\(error)")
      }
    }
  }
}

/// The answer of a call that a worker computes.
struct WaitingAnswer {
  let call: WaitingCall
  fileprivate let service: LocalService
  fileprivate let model: LocalModel
  fileprivate let make: (LocalAnswer) -> Answer

  /// When it has been computed.
  func take() -> Answer {
    do throws(Status) { return make(try service.end(call)).telling(of: model) } catch {
      return Problem(error).answer
    }
  }

  /// When the call's time is over; nil: a worker has begun with it.
  func expire() -> Answer? { service.expire(call).map { Problem($0).answer } }

  /// Nobody waits for it any more.
  func abandon() { service.abandon(call) }
}

extension Answer {
  fileprivate func telling(of model: LocalModel) -> Answer {
    var answer = self
    answer.fields.tellDeprecation(of: model)
    return answer
  }
}

extension Frontend {
  /// The version that a path names, or the default model's, for who may call it.
  fileprivate func model(
    of route: CallRoute, _ key: String, _ service: LocalService, _ caller: LocalCaller
  ) throws(Status) -> LocalModel {
    let choice =
      switch route.form {
      case .tutorials: ModelChoice(name: try defaultModel(service, caller))
      default: try ModelChoice(route.model, version: route.version, alias: route.alias)
      }
    try service.require(.classify, model: choice.name, by: caller)
    return try service.find(
      choice.name, version: choice.version, alias: choice.alias, routeKey: key)
  }

  private func defaultModel(_ service: LocalService, _ caller: LocalCaller) throws(Status) -> String {
    if let defaultModel { return defaultModel }
    let names = Set(service.models(of: caller).map(\.name))
    guard names.count == 1, let name = names.first else {
      throw Status(
        .failedPrecondition, "DEFAULT_MODEL_MISSING",
        "there are \(names.count) models; name one as default_model in the configuration, "
          + "or call /v1/models/NAME:classify")
    }
    return name
  }
}
