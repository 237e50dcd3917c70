import ApusClient
import ApusIO
import Foundation
import TestCertificates

/// What a server is told, and a client needs, to speak TLS with each other under a policy.
final class Encryption {
  /// `tls://127.0.0.1:PORT`, a port that was free a moment ago.
  let address: String
  /// `tcp://127.0.0.1:PORT`, another one.
  let plainAddress: String
  let arguments: [String]
  let security: SecurityOptions
  /// As `client-probe` takes them.
  let clientFiles: [String]
  private let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "apus-tls-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    // Both at one time, so that they are two ports.
    let one = try Listener(.tcp(host: "127.0.0.1", port: 0))
    let other = try Listener(.tcp(host: "127.0.0.1", port: 0))
    guard case .tcp(let host, let port) = one.address, case .tcp(_, let otherPort) = other.address else {
      fatalError("a TCP listener has a TCP address")
    }
    address = "tls://\(host):\(port)"
    plainAddress = "tcp://\(host):\(otherPort)"
    let authority = Authority("exact")
    let naming = Naming(commonNames: ["checkout"], alternativeNames: "IP:127.0.0.1")
    let identity = authority.issue(naming)
    let files = [
      "ca.pem": authority.pem, "own.pem": identity.chain, "own.key": identity.key,
      "policy.yaml": Array(
        """
        identities:
          cert:checkout: {models: ["dig*"], methods: [classify], calls_per_second: 1000000000}
        """.utf8),
    ]
    for (name, bytes) in files { try Data(bytes).write(to: folder.appendingPathComponent(name)) }
    let path = folder.path
    arguments = [
      "--listen", address, "--tls-cert", path + "/own.pem", "--tls-key", path + "/own.key",
      "--tls-client-ca", path + "/ca.pem", "--policy", path + "/policy.yaml",
    ]
    clientFiles = [path + "/ca.pem", path + "/own.pem", path + "/own.key"]
    var security = SecurityOptions()
    security.authorityFile = clientFiles[0]
    security.certificateFile = clientFiles[1]
    security.keyFile = clientFiles[2]
    self.security = security
  }

  deinit { try? FileManager.default.removeItem(at: folder) }
}
