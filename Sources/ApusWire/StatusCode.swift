/// gRPC's canonical status codes (github.com/grpc/grpc, doc/statuscodes.md).
package enum StatusCode: UInt32, Sendable, CaseIterable {
  case ok = 0
  case cancelled = 1
  case unknown = 2
  case invalidArgument = 3
  case deadlineExceeded = 4
  case notFound = 5
  case alreadyExists = 6
  case permissionDenied = 7
  case resourceExhausted = 8
  case failedPrecondition = 9
  case aborted = 10
  case outOfRange = 11
  case unimplemented = 12
  case `internal` = 13
  case unavailable = 14
  case dataLoss = 15
  case unauthenticated = 16

  /// The name as gRPC writes it, for example `DEADLINE_EXCEEDED`.
  package var name: String {
    switch self {
    case .ok: "OK"
    case .cancelled: "CANCELLED"
    case .unknown: "UNKNOWN"
    case .invalidArgument: "INVALID_ARGUMENT"
    case .deadlineExceeded: "DEADLINE_EXCEEDED"
    case .notFound: "NOT_FOUND"
    case .alreadyExists: "ALREADY_EXISTS"
    case .permissionDenied: "PERMISSION_DENIED"
    case .resourceExhausted: "RESOURCE_EXHAUSTED"
    case .failedPrecondition: "FAILED_PRECONDITION"
    case .aborted: "ABORTED"
    case .outOfRange: "OUT_OF_RANGE"
    case .unimplemented: "UNIMPLEMENTED"
    case .internal: "INTERNAL"
    case .unavailable: "UNAVAILABLE"
    case .dataLoss: "DATA_LOSS"
    case .unauthenticated: "UNAUTHENTICATED"
    }
  }
}

/// Why a call failed, as it travels in an answer's metadata.
package struct Status: Error, Equatable, Sendable {
  package var code: StatusCode
  /// For a person: what is wrong and what to do.
  package var message: String
  /// For a program: UPPER_SNAKE_CASE.
  package var reason: String
  /// 0: not worth retrying.
  package var retryAfterNanoseconds: UInt64

  package init(_ code: StatusCode, _ reason: String, _ message: String, retryAfterNanoseconds: UInt64 = 0) {
    self.code = code
    self.reason = reason
    self.message = message
    self.retryAfterNanoseconds = retryAfterNanoseconds
  }
}
