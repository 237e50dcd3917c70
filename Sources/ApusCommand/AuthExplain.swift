import ApusAccess
import ApusBase
import ApusJSON
import ArgumentParser

struct AuthExplain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say whether a caller may do something, and which line of the policy decides.",
    discussion: """
      Identities: \(Identity.forms). A caller may have several. \
      Exit status: 0 allowed, 1 refused, 2 wrong usage or a policy that cannot be read.

        apus auth explain token:checkout classify digits --policy policy.yaml
        apus auth explain uid:1000,gid:1000,gid:100 read --policy policy.yaml --json
      """)

  @Argument(help: ArgumentHelp("The caller's identities.", valueName: "identity,…")) var identities: String

  @Argument(help: "classify, read or admin.") var method: Permission

  @Argument(help: "The model; none for a method about the whole server.") var model: String?

  @OptionGroup var policy: PolicyOption
  @Flag(help: "Print one JSON document.") var json = false

  func validate() throws { _ = try caller() }

  /// The identities of the list. A common name may hold commas itself: what begins like no identity belongs
  /// to the one before.
  private func caller() throws(ValidationError) -> [String] {
    var result: [String] = []
    for piece in identities.split(separator: ",", omittingEmptySubsequences: false) {
      if Identity(String(piece)) != nil {
        result.append(String(piece))
      } else if let last = result.popLast(), last.hasPrefix("cert:") {
        result.append("\(last),\(piece)")
      } else {
        throw ValidationError("'\(piece)' is no identity; write \(Identity.forms)")
      }
    }
    return result
  }

  func run() throws {
    let caller = try caller()
    let policy = try policy.file.policy(failureStatus: 2)
    let decision = policy.decide(caller, method, model: model)
    if json {
      print(document(caller, decision))
    } else {
      print(printable("\(decision.isAllowed ? "allowed" : "refused"): \(decision.explanation)"))
    }
    warnOfTokens(caller, policy)
    guard decision.isAllowed else { throw ExitCode(1) }
  }

  private func document(_ caller: [String], _ decision: Decision) -> JSON {
    [
      "allowed": .boolean(decision.isAllowed), "line": decision.line.map { .integer($0) } ?? .null,
      "explanation": .string(decision.explanation), "identities": .array(caller.map { .string($0) }),
      "method": .string(method.rawValue), "model": model.map { .string($0) } ?? .null,
      "priority": decision.priority.map { .string($0.name) } ?? .null,
    ]
  }

  /// A token that is gone or has expired names nobody, whatever the entries say.
  private func warnOfTokens(_ caller: [String], _ policy: Policy) {
    let tokens = policy.listing(at: unixSeconds())
    for identity in caller where identity.hasPrefix("token:") {
      let name = identity.dropFirst("token:".count)
      switch tokens.first(where: { $0.name == name })?.isExpired {
      case nil: printError(printable("apus: nobody can be \(identity): the policy has no token of that name"))
      case true?: printError("apus: nobody can be \(identity) any longer: the token has expired")
      case false?: break
      }
    }
  }
}

extension Permission: ExpressibleByArgument {}
