import ApusClient
import Foundation
import TestCertificates

/// A real server that listens over TLS too, with certificates made for this run, and the files with which
/// clients reach it.
final class SecureServer {
  let process: ServerProcess
  let files: ModelFolder
  private let authority: Authority

  static let naming = Naming(commonNames: ["server"], alternativeNames: "DNS:localhost,IP:127.0.0.1")

  /// - Parameters:
  ///   - clientAuthority: then every client must show a certificate that it has signed.
  ///   - policy: text of the policy file.
  ///   - configuration: further lines of `apus.yaml`, below `tls:`.
  init(
    clientAuthority: Authority? = nil, policy: String? = nil, tls lines: [String] = [], overTCP: Bool = false
  ) throws {
    authority = Authority("test")
    files = try ModelFolder()
    try Self.write(authority.issue(Self.naming), authority, files)
    var arguments = [
      "--listen", "tls://127.0.0.1:0", "--tls-cert", files.path + "/server.pem", "--tls-key",
      files.path + "/server.key",
    ]
    if let clientAuthority {
      try files.write("clients.pem", Data(clientAuthority.pem))
      arguments += ["--tls-client-ca", files.path + "/clients.pem"]
    }
    if let policy {
      try files.write("policy.yaml", Data(policy.utf8))
      arguments += ["--policy", files.path + "/policy.yaml"]
    }
    if !lines.isEmpty {
      let text = "tls:\n" + lines.map { "  \($0)\n" }.joined()
      try files.write("apus.yaml", Data(text.utf8))
      arguments += ["--config", files.path + "/apus.yaml"]
    }
    process = try ServerProcess(overTCP: overTCP, arguments: arguments)
  }

  private static func write(_ identity: Identity, _ authority: Authority, _ files: ModelFolder) throws {
    try files.write("ca.pem", Data(authority.pem))
    try files.write("server.pem", Data(identity.chain))
    try files.write("server.key", Data(identity.key))
  }

  /// Gives the server another certificate, of another authority, which clients must trust from now on.
  func changeCertificate() throws {
    let other = Authority("other")
    try Self.write(other.issue(Self.naming), other, files)
  }

  /// What a client needs to trust this server and, on wish, to say who it is.
  func options(_ identity: Identity? = nil, token: String? = nil) throws -> ClientOptions {
    var options = ClientOptions()
    options.security.authorityFile = files.path + "/ca.pem"
    options.security.token = token
    if let identity {
      let name = "client-\(UUID().uuidString.prefix(8))"
      try files.write("\(name).pem", Data(identity.chain))
      try files.write("\(name).key", Data(identity.key))
      options.security.certificateFile = files.path + "/\(name).pem"
      options.security.keyFile = files.path + "/\(name).key"
    }
    return options
  }

  func client(_ identity: Identity? = nil, token: String? = nil) throws -> SynchronousClient {
    try SynchronousClient(process.tls, options: options(identity, token: token))
  }
}

/// One call with so many rows of the digits model.
func classifyDigits(_ client: SynchronousClient, rows: Int = 1) throws -> [Float] {
  var result = ClassifyResult()
  let numbers = (0..<64 * rows).map { Float($0 % 17) }
  try client.classify(numbers, ClassifyCall("digits", shape: [rows, 64]), into: &result)
  return result.probabilities
}

/// The code with which something is refused, or nil where it is not; other errors are thrown on.
func refusal(_ body: () throws -> Void) throws -> String? {
  do {
    try body()
    return nil
  } catch let error as ClientError {
    guard case .status(let status) = error else { throw error }
    return status.codeName
  }
}
