import ApusAccess
import ApusJSON
import ApusYAML
import ArgumentParser
import Glibc

struct Auth: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "auth",
    abstract: "Make tokens for callers, and explain what a policy allows.",
    discussion: """
      These read and edit a policy file; no server is asked. docs/access.md describes the file.

        apus auth token create checkout --policy policy.yaml --expires 90d
        apus auth explain token:checkout classify digits --policy policy.yaml
      """,
    subcommands: [AuthToken.self, AuthExplain.self])
}

struct AuthToken: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Create, list and revoke the tokens of a policy.",
    subcommands: [Create.self, List.self, Revoke.self])
}

/// Which policy file.
struct PolicyOption: ParsableArguments {
  @Option(name: .customLong("policy"), help: ArgumentHelp("The policy file.", valueName: "file"))
  var path: String

  var file: PolicyFile { PolicyFile(path: path) }
}

/// Seconds since 1970.
func unixSeconds() -> Int64 { Int64(time(nil)) }

// MARK: create

extension AuthToken {
  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "create",
      abstract: "Add a token to a policy and print it, once and alone.",
      discussion: """
        The policy keeps only the token's SHA-256. A policy file that does not exist yet is made, for its \
        owner alone. Everything else in the file stays as it is, comments included.

          apus auth token create checkout --policy policy.yaml --expires 90d > checkout.token
        """)

    @Argument(help: "What policy and log call the token: token:NAME.") var name: String
    @OptionGroup var policy: PolicyOption

    @Option(
      help: ArgumentHelp(
        "When it ends: 90d, 12h, 2027-01-01 or 2027-01-01T00:00:00Z. Without this it never does.",
        valueName: "when"))
    var expires: String?

    @Flag(help: "Put a new token in the place of one of this name, which is then no longer valid.")
    var replace = false

    func validate() throws {
      guard Token.isName(name) else {
        throw ValidationError("'\(name)' cannot name a token: use \(Token.nameCharacters)")
      }
      _ = try end(unixSeconds())
    }

    /// Nil: never.
    private func end(_ now: Int64) throws(ValidationError) -> Int64? {
      guard let expires else { return nil }
      guard let end = Timestamp.expiry(expires, from: now) else {
        throw ValidationError(
          "--expires takes 90d, 12h, 2027-01-01 or 2027-01-01T00:00:00Z, not '\(expires)'")
      }
      guard end > now else { throw ValidationError("--expires \(expires) has passed already") }
      return end
    }

    func run() throws {
      let end = try end(unixSeconds())
      let token = Token.create()
      let hash = Array(token.utf8).withUnsafeBytes { Policy.hash(ofToken: $0) }
      let edited = try policy.file.edit(createIfMissing: true) { text throws(YAMLError) in
        try PolicyText(text, source: policy.path).adding(
          token: name, hash: hash, expires: end, replacing: replace)
      }
      guard writeOutput(token + "\n") else {
        throw failure("the token could not be printed; make another one with --replace")
      }
      if edited.entries(for: ["token:\(name)"]).isEmpty {
        printError(
          "apus: no entry names token:\(name) yet, so that it may do nothing; add for example, under "
            + "identities: token:\(name): {models: [\"MODEL\"], methods: [classify, read]}")
      }
    }

    /// Writes to standard output; false where not all could be written.
    private func writeOutput(_ text: String) -> Bool {
      var bytes = Array(text.utf8)[...]
      while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        bytes = bytes.dropFirst(count)
      }
      return true
    }
  }
}

// MARK: list

extension AuthToken {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list",
      abstract: "List the tokens of a policy: until when each is valid, and whether an entry names it.")

    @OptionGroup var policy: PolicyOption
    @Flag(help: "Print one JSON document.") var json = false

    func run() throws {
      let tokens = try policy.file.policy().listing(at: unixSeconds())
      if json {
        let document: JSON = ["tokens": .array(tokens.map { $0.json })]
        print(document)
      } else if tokens.isEmpty {
        print("The policy has no tokens; make one with: apus auth token create NAME --policy \(policy.path)")
      } else {
        var table = Table(["TOKEN", "EXPIRES", "STATE", "NAMED BY AN ENTRY"])
        for token in tokens {
          let expires = token.expires.map(Timestamp.text) ?? "never"
          table.add([token.name, expires, token.state, token.isNamed ? "yes" : "no: may do nothing"])
        }
        table.print()
      }
    }
  }
}

extension Policy.TokenListing {
  fileprivate var state: String { isExpired ? "expired" : "valid" }

  fileprivate var json: JSON {
    [
      "name": .string(name), "expires": expires.map { .string(Timestamp.text($0)) } ?? .null,
      "state": .string(state), "named": .boolean(isNamed),
    ]
  }
}

// MARK: revoke

extension AuthToken {
  struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "revoke",
      abstract: "Remove a token from a policy. Entries that name it stay, and name nobody.")

    @Argument(help: "The token's name.") var name: String
    @OptionGroup var policy: PolicyOption

    func run() throws {
      _ = try policy.file.edit(createIfMissing: false) { text throws(YAMLError) in
        try PolicyText(text, source: policy.path).removing(token: name)
      }
    }
  }
}
