import ApusWire
import HTTPTypes
import Hummingbird
import NIOCore

/// An error as HTTP tells it: `application/problem+json` (RFC 9457). Besides the standard members it holds
/// `code` and `reason`, as RPC's Status has them, and `error`, where clients of the Open Inference Protocol
/// look for the text.
struct Problem: Error {
  let status: HTTPResponse.Status
  let code: StatusCode
  let reason: String
  let detail: String
  var fields = HTTPFields()

  init(_ status: HTTPResponse.Status, _ code: StatusCode, _ reason: String, _ detail: String) {
    self.status = status
    self.code = code
    self.reason = reason
    self.detail = detail
  }

  /// The status that google.rpc.Code names for each code (github.com/googleapis/googleapis,
  /// google/rpc/code.proto); a body over its limit is 413.
  init(_ status: Status) {
    let isBody = status.reason == "BODY_LIMIT" || status.reason == "BODY_TOO_LARGE"
    self.init(
      isBody ? .contentTooLarge : Self.status(status.code), status.code, status.reason, status.message)
    if status.code == .unauthenticated { fields[.wwwAuthenticate] = "Bearer" }
    if status.retryAfterNanoseconds > 0 {
      fields[.retryAfter] = String((status.retryAfterNanoseconds + 999_999_999) / 1_000_000_000)
    }
  }

  private static func status(_ code: StatusCode) -> HTTPResponse.Status {
    switch code {
    case .ok: .ok
    case .invalidArgument, .failedPrecondition, .outOfRange: .badRequest
    case .unauthenticated: .unauthorized
    case .permissionDenied: .forbidden
    case .notFound: .notFound
    case .aborted, .alreadyExists: .conflict
    case .resourceExhausted: .tooManyRequests
    case .cancelled: HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request")
    case .unimplemented: .notImplemented
    case .unavailable: .serviceUnavailable
    case .deadlineExceeded: .gatewayTimeout
    case .unknown, .internal, .dataLoss: .internalServerError
    }
  }

  static func badRequest(_ reason: String, _ detail: String) -> Problem {
    Problem(.badRequest, .invalidArgument, reason, detail)
  }

  /// What an error is to a client, the router's and HTTP's own too.
  static func of(_ error: any Error) -> Problem {
    switch error {
    case let problem as Problem: problem
    case let status as Status: Problem(status)
    case let error as any HTTPResponseError: Problem(http: error.status)
    default: Problem(.internalServerError, .internal, "INTERNAL", "the server failed at this request")
    }
  }

  private init(http status: HTTPResponse.Status) {
    switch status {
    case .notFound:
      self.init(
        .notFound, .notFound, "PATH_NOT_FOUND", "nothing is served at this path; see /openapi.json")
    default: self.init(status, .unknown, "HTTP", status.reasonPhrase)
    }
  }

  /// As RPC tells it.
  var rpcStatus: Status { Status(code, reason, detail) }

  var answer: Answer {
    var text = JSONText()
    text.object {
      $0.member("type", "about:blank")
      $0.member("title", status.reasonPhrase)
      $0.member("status", integer: status.code)
      $0.member("detail", detail)
      $0.member("code", code.name)
      $0.member("reason", reason)
      $0.member("error", detail)
    }
    var fields = fields
    fields[.contentType] = "application/problem+json"
    return Answer(status: status, fields: fields, body: text.buffer)
  }
}

/// Makes every error a problem.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch {
      return Problem.of(error).answer.response
    }
  }
}
