import ApusAccess
import ApusBase
import ApusJSON
import ApusServer
import ApusWire
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTPTypes

/// What all routes share: the server's lanes, one for each thread, and the way from a request to a call.
struct Frontend: Sendable {
  let server: Server
  let defaultModel: String?
  /// By the identity of a thread's event loop.
  let lanes: [ObjectIdentifier: Lane]

  func lane(_ context: GatewayContext) -> Lane {
    lanes[ObjectIdentifier(context.channel.eventLoop)] ?? server.lanes[0]
  }

  /// - Throws: UNAUTHENTICATED for a token that is not valid, or a header that holds none.
  func caller(_ request: Request, _ context: GatewayContext) throws(Status) -> LocalCaller {
    try lane(context).identify(token: try token(request), certificate: context.certificate)
  }

  /// The token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
  private func token(_ request: Request) throws(Status) -> [UInt8]? {
    guard let header = request.headers[.authorization] else { return nil }
    let parts = header.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else {
      throw Status(.unauthenticated, "CREDENTIALS_REQUIRED", "write Authorization: Bearer TOKEN")
    }
    return Array(parts[1].drop { $0 == " " }.utf8)
  }

  /// JSON spends up to so many bytes on a number of 4.
  private static let bytesPerByte = 8

  /// The whole body.
  ///
  /// - Throws: a 413 problem when it is longer than the caller may send. Where it does not come in time, the
  ///   connection is closed.
  private func body(
    _ request: Request, _ context: GatewayContext, _ caller: LocalCaller, _ lane: Lane
  ) async throws -> ByteBuffer {
    let most = lane.longestBody(of: caller) * Self.bytesPerByte + 4096
    if let text = request.headers[.contentLength], let length = Int(text), length > most {
      throw Status(
        .resourceExhausted, "BODY_LIMIT", "the body may have at most \(most) bytes; send fewer rows")
    }
    guard request.headers[.contentEncoding]?.lowercased() ?? "identity" == "identity" else {
      throw Problem(
        .unsupportedMediaType, .invalidArgument, "CONTENT_ENCODING",
        "bodies are taken as they are; compress none")
    }
    // A client that asks first sends its body when it is told to (RFC 9110, section 10.1.1).
    if request.headers[.expect]?.lowercased() == "100-continue" {
      try await context.channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .continue)))
    }
    return try await request.body.collect(upTo: most)
  }
}

/// A request for a model's answer, whole.
struct Received {
  let lane: Lane
  let caller: LocalCaller
  let model: LocalModel
  var body: ByteBuffer
  let begun: Instant
  let ended: Instant
  let isEncrypted: Bool
  let trace: TraceParent

  /// A call of these rows.
  func call(_ input: (values: [Float], rows: Int)) -> LocalCall {
    var call = LocalCall(values: input.values, rows: input.rows, begun: begun, received: ended)
    call.requestBytes = body.readableBytes
    call.isEncrypted = isEncrypted
    call.trace = trace
    return call
  }
}

extension Frontend {
  /// Finds out who calls, and the model, before the body is looked at.
  ///
  /// - Parameter choose: the model, where the path does not name it.
  func receive(
    _ request: Request, _ context: GatewayContext,
    _ choose: (Lane, LocalCaller) throws(Status) -> ModelChoice
  ) async throws -> Received {
    let begun = Instant.now
    let lane = lane(context)
    let caller = try caller(request, context)
    let choice = try choose(lane, caller)
    try lane.require(.classify, model: choice.name, by: caller)
    let model = try lane.find(choice.name, version: choice.version, alias: choice.alias)
    let body = try await body(request, context, caller, lane)
    return Received(
      lane: lane, caller: caller, model: model, body: body, begun: begun, ended: .now,
      isEncrypted: context.isEncrypted, trace: trace(request))
  }

  private func trace(_ request: Request) -> TraceParent {
    guard let name = Self.traceParent, let text = request.headers[name] else { return .none }
    return TraceParent(text) ?? .none
  }

  private static let traceParent = HTTPField.Name("traceparent")
}

/// The path's and the body's choice of a version.
struct ModelChoice {
  var name: String
  var version: UInt64 = 0
  var alias = ""

  /// Of the route's parameters `model`, and `version` or `alias` where the route has them.
  ///
  /// - Throws: NOT_FOUND for a version that is no number.
  init(_ context: GatewayContext) throws(Status) {
    name = context.parameters.get("model") ?? ""
    alias = context.parameters.get("alias") ?? ""
    if let text = context.parameters.get("version") {
      guard let number = UInt64(text), number > 0 else {
        throw Status(.notFound, "VERSION_NOT_FOUND", "a version is a number from 1 on")
      }
      version = number
    }
  }

  init(name: String) { self.name = name }
}

extension Frontend {
  /// Reads a body with `read`, which is given a scanner of it.
  func scan<Result>(
    _ body: ByteBuffer, _ read: (inout JSONScanner) throws(JSONError) -> Result
  ) throws -> Result {
    try body.withUnsafeReadableBytes { bytes in
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
