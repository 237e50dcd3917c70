import ApusYAML

@testable import ApusAccess

/// The policy of the documentation's examples; the tokens' hashes are of `secret-checkout` and `secret-old`.
let examplePolicy = """
  identities:                # who
    token:checkout: {models: ["digits", "sentiment-*"], methods: [classify, read], calls_per_second: 1000}
    uid:1000: {models: ["*"], methods: [classify, read, admin]}
  groups:
    analysts:
      members: ["cert:*.analytics.internal", "gid:100"]
      models: ["*"]
      methods: [read]
      rows_per_second: 50000.5
      max_in_flight: 32
      max_body_bytes: 1048576
  tokens:
    checkout: {hash: "\(hashText("secret-checkout"))", expires: 2027-01-01T00:00:00Z}
    old: {hash: "\(hashText("secret-old"))"}
  """

/// The hash of a token as a policy writes it.
func hashText(_ token: String) -> String {
  "sha256:" + hash(token).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

func hash(_ token: String) -> [UInt8] { bytes(token) { Policy.hash(ofToken: $0) } }

/// Hands the bytes of a text over as they would lie in a receive buffer.
func bytes<Value>(_ text: String, _ body: (UnsafeRawBufferPointer) -> Value) -> Value {
  Array(text.utf8).withUnsafeBytes { body($0) }
}

func policy(_ yaml: String) throws -> Policy { try Policy(yaml: yaml, source: "policy.yaml") }

/// The error of a text that is no policy.
func problem(_ yaml: String) -> String {
  do {
    _ = try Policy(yaml: yaml, source: "policy.yaml")
    return "read"
  } catch {
    return error.description
  }
}

extension Grants {
  func allows(_ permission: Permission, _ model: String) -> Bool {
    bytes(model) { allows(permission, model: $0) }
  }
}
