package import ApusWire

/// Why a call failed.
public enum ClientError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The server answered with an error.
  case status(ServerStatus)
  /// No connection could be made.
  case connectionFailed(String)
  /// The connection ended before the answer came; whether the call was processed is not known.
  case connectionLost(String)
  /// The call's time passed before its answer came.
  case timedOut
  /// The caller's task was cancelled.
  case cancelled
  /// The server sent bytes that break the protocol.
  case protocolBroken(String)
  /// The call cannot be sent as it is.
  case invalidInput(String)
  /// What the client was made with is of no use: a file that cannot be read, for example.
  case invalidOptions(String)
  /// The client was closed.
  case closed

  public var description: String {
    switch self {
    case .status(let status): "\(status.codeName): \(status.message)"
    case .connectionFailed(let reason): "cannot connect: \(reason)"
    case .connectionLost(let reason): "the connection was lost before the answer came: \(reason)"
    case .timedOut: "no answer came within the call's time"
    case .cancelled: "the call was cancelled"
    case .protocolBroken(let reason): "the server broke the protocol: \(reason)"
    case .invalidInput(let reason): "the call cannot be sent: \(reason)"
    case .invalidOptions(let reason): reason
    case .closed: "the client is closed"
    }
  }
}

/// An error that the server answered with.
public struct ServerStatus: Equatable, Sendable {
  /// gRPC's canonical code, 1 to 16.
  public let code: Int
  /// For a person: what is wrong and what to do.
  public let message: String
  /// For a program, for example `NOT_PROCESSED`.
  public let reason: String
  /// How long to wait before trying again; nil: not worth trying.
  public var retryAfter: Duration? {
    retryAfterNanoseconds == 0 ? nil : .nanoseconds(Int64(clamping: retryAfterNanoseconds))
  }
  /// The same in nanoseconds; 0: not worth trying.
  package let retryAfterNanoseconds: UInt64

  /// The code as gRPC writes it, for example `DEADLINE_EXCEEDED`.
  public var codeName: String { StatusCode(rawValue: UInt32(code))?.name ?? "UNKNOWN" }

  package init(_ status: Status) {
    code = Int(status.code.rawValue)
    message = status.message
    reason = status.reason
    retryAfterNanoseconds = status.retryAfterNanoseconds
  }

  /// Whether the server says that it did not begin the call, so that it may be sent again.
  var isNotProcessed: Bool { reason == "NOT_PROCESSED" }
}

extension ClientError {
  var isNotProcessed: Bool {
    if case .status(let status) = self { return status.isNotProcessed }
    return false
  }
}
