import ApusAccess
import ApusBase
import ApusIO
package import ApusWire

/// Refusals that reactors and local services share, so that a caller reads the same by either way.
extension Status {
  static let tooManyInFlight = Status(
    .resourceExhausted, "IN_FLIGHT_LIMIT", "this caller has as many calls in flight as it may have",
    retryAfterNanoseconds: 1_000_000)

  static func overRate(retryAfter nanoseconds: UInt64) -> Status {
    Status(
      .resourceExhausted, "RATE_LIMIT", "this caller makes more calls or rows a second than it may",
      retryAfterNanoseconds: max(1, nanoseconds))
  }

  static func bodyTooLarge(_ most: Int) -> Status {
    Status(
      .resourceExhausted, "BODY_LIMIT",
      "this caller may send bodies of at most \(most) bytes; send fewer rows")
  }

  package static let memoryExhausted = Status(
    .resourceExhausted, "MEMORY_EXHAUSTED", "too many large calls are under way; try again",
    retryAfterNanoseconds: 100_000_000)

  static let modelNotReady = Status(.unavailable, "MODEL_FAILED", "the model is not ready")

  static let deadlinePassed = Status(
    .deadlineExceeded, "DEADLINE_EXCEEDED", "the call's time was over before there could be an answer")

  /// - Parameter needed: what the call takes by itself, in nanoseconds.
  static func deadlineTooShort(needed: UInt64) -> Status {
    Status(
      .deadlineExceeded, "DEADLINE_TOO_SHORT",
      "the call takes about \((needed + 999) / 1000) µs, longer than its caller waits",
      retryAfterNanoseconds: needed)
  }

  static func overloaded(retryAfter nanoseconds: UInt64) -> Status {
    Status(
      .resourceExhausted, "OVERLOADED", "the call would wait too long behind others; try again",
      retryAfterNanoseconds: max(nanoseconds, 1_000_000))
  }

  static let queueFull = Status(
    .resourceExhausted, "QUEUE_FULL", "as many calls wait as may; try again",
    retryAfterNanoseconds: 10_000_000)

  static let answerTooLarge = Status(
    .resourceExhausted, "ANSWER_TOO_LARGE", "the answer would be over the limit; send fewer rows")

  static let tokenExpired = Status(
    .unauthenticated, "TOKEN_EXPIRED", "the token has expired; get a new one")
  static let tokenInvalid = Status(.unauthenticated, "TOKEN_INVALID", "the token is not valid here")
}

extension Limits {
  /// The longest body that a caller may send, in bytes of its tensor.
  func longestBody(of standing: Standing?) -> Int {
    min(bodyBytes, standing?.grants.limits.maximumBodyBytes ?? .max)
  }
}

extension ServedModel {
  /// - Throws: INVALID_ARGUMENT when a call has more rows than the model or the server takes.
  func check(rows: Int, _ limits: Limits) throws(Status) {
    let most = min(batchMaximum, limits.batchRows)
    guard rows <= most else {
      throw Status(
        .invalidArgument, "BATCH_TOO_LARGE",
        "model '\(name)' takes at most \(most) rows in a call; this one has \(rows)")
    }
  }
}

extension Standing {
  /// One text whatever it was that was asked for, so that a refusal tells nothing about what exists.
  var denial: Status {
    isAnonymous
      ? Status(.unauthenticated, "CREDENTIALS_REQUIRED", "show a valid token or client certificate")
      : Status(.permissionDenied, "ACCESS_DENIED", "this caller may not do that")
  }
}

extension Fleet {
  /// Counts for the log what access control refused; of other refusals it knows nothing.
  ///
  /// - Parameters:
  ///   - attempt: for a person.
  ///   - identity: as a policy names it.
  func note(_ status: Status, attempt: @autoclosure () -> String, by identity: @autoclosure () -> String) {
    guard isRefusal(status) else { return }
    let refusal = RefusalLog.Refusal(
      identity: identity(), attempt: attempt(), code: status.code, reason: status.reason)
    if refusals.add(refusal) { attention.signal() }
  }
}

/// Whether a status is access control's.
private func isRefusal(_ status: Status) -> Bool {
  switch status.code {
  case .unauthenticated, .permissionDenied: true
  case .resourceExhausted: status.reason.hasSuffix("_LIMIT")
  default: false
  }
}
