package import ApusAccess
import ApusBase
package import ApusWire

/// Who calls from inside the process on behalf of someone outside it: the gateway's HTTP clients. What it may
/// do is decided as for a connection's calls.
package struct LocalCaller: Sendable {
  /// nil where there is no policy.
  let standing: Standing?

  /// As a policy names it, for logs.
  package var name: String { standing?.name ?? "" }

  /// Gives back a call that was in flight.
  func leave() { standing?.usage.leave(1) }
}

extension LocalService {
  /// Finds out who calls.
  ///
  /// - Parameters:
  ///   - token: of an Authorization header; nil: none was shown.
  ///   - certificate: whom the client's verified certificate names.
  /// - Throws: UNAUTHENTICATED for a token that is not valid here.
  package func identify(token: [UInt8]?, certificate: Caller? = nil) throws(Status) -> LocalCaller {
    guard fleet.access.isEnforced else { return LocalCaller(standing: nil) }
    var caller = certificate ?? Caller()
    if let token {
      do throws(Status) {
        caller.token = try fleet.access.valid(token)
      } catch {
        fleet.note(error, attempt: "http", by: "anonymous")
        throw error
      }
    }
    return LocalCaller(standing: fleet.access.standing(of: caller))
  }

  /// Asks whether the caller may do one of these with a model; nil: with any model at all.
  ///
  /// - Throws: UNAUTHENTICATED, or PERMISSION_DENIED with one text for all models, existing or not.
  package func require(
    _ permissions: Permission..., model: String? = nil, by caller: LocalCaller
  ) throws(Status) {
    guard let standing = caller.standing else { return }
    let isAllowed = permissions.contains { standing.allows($0, model: model) }
    guard !isAllowed else { return }
    let status = standing.denial
    fleet.note(status, attempt: "http", by: standing.name)
    throw status
  }

  /// Takes one call, and its rows, from what the caller may use, for as long as `body` runs.
  ///
  /// - Throws: RESOURCE_EXHAUSTED with the time to wait, and what `body` throws.
  func admitting<Result>(
    _ caller: LocalCaller, rows: Int, _ body: () throws(Status) -> Result
  ) throws(Status) -> Result {
    try enter(caller, rows: rows)
    defer { caller.leave() }
    return try body()
  }

  /// Takes one call, and its rows, from what the caller may use, until it leaves.
  ///
  /// - Throws: RESOURCE_EXHAUSTED with the time to wait.
  func enter(_ caller: LocalCaller, rows: Int) throws(Status) {
    guard let standing = caller.standing else { return }
    let limits = standing.grants.limits
    do throws(Status) {
      guard standing.usage.enter(1, limit: limits.maximumInFlight) == 1 else { throw .tooManyInFlight }
      let taken = standing.usage.take(calls: 1, rowsPerCall: rows, limits, now: .now)
      guard taken.granted == 1 else {
        caller.leave()
        throw .overRate(retryAfter: taken.retryAfterNanoseconds)
      }
    } catch {
      fleet.note(error, attempt: "http", by: standing.name)
      throw error
    }
  }

  /// The longest body that the caller may send, in bytes of its tensor.
  package func longestBody(of caller: LocalCaller) -> Int {
    fleet.limits.longestBody(of: caller.standing)
  }
}

extension Standing {
  func allows(_ permission: Permission, model: String?) -> Bool {
    guard var model else { return grants.allows(permission) }
    return model.withUTF8 { grants.allows(permission, model: UnsafeRawBufferPointer($0)) }
  }
}
