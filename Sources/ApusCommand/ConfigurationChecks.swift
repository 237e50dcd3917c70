import ApusBase
import ApusIO
import ApusWire
import Glibc

extension ServeConfiguration {
  /// What values that are right each alone do not allow together, a line each.
  var contradictions: [String] {
    tlsContradictions + openAddresses + memoryContradictions + signatureContradictions
  }

  /// Signatures can only be required of somebody.
  private var signatureContradictions: [String] {
    guard requiresSignatures, !has(.trustedKeys) else { return [] }
    return [problem(.requireSignatures, "needs signatures.keys too: a folder with the keys that count")]
  }

  /// What is wrong with the value of a key, after the name under which it was given.
  private func problem(_ key: ConfigurationKey, _ text: String) -> String {
    printable("\(key.subject(self[key].origin)) \(text)")
  }

  private func has(_ key: ConfigurationKey) -> Bool { self[key].value != nil }

  /// TLS needs a certificate and its key.
  private var tlsContradictions: [String] {
    var problems: [String] = []
    if has(.tlsCertificate), !has(.tlsKey) {
      problems.append(
        problem(.tlsCertificate, "needs its key too; give --tls-key, APUS_TLS_KEY or tls.key"))
    }
    for key in [ConfigurationKey.tlsKey, .tlsClientCA] where has(key) && !has(.tlsCertificate) {
      problems.append(
        problem(key, "needs the server's certificate too; give --tls-cert, APUS_TLS_CERT or tls.cert"))
    }
    for (key, addresses) in allAddresses where !has(.tlsCertificate) {
      guard let address = addresses.first(where: { $0.isEncrypted }) else { continue }
      problems.append(
        problem(key, "has \(name(address, key)), which needs a certificate; give --tls-cert and --tls-key"))
    }
    return problems
  }

  private var allAddresses: [(key: ConfigurationKey, addresses: [Address])] {
    [(.listen, listen), (.http, http)]
  }

  private func name(_ address: Address, _ key: ConfigurationKey) -> String {
    key == .http ? address.url : address.description
  }

  /// What other machines can reach is encrypted and asks who calls, unless somebody has wanted it otherwise.
  private var openAddresses: [String] {
    guard !isInsecure else { return [] }
    for (key, addresses) in allAddresses {
      guard let address = addresses.first(where: { !$0.isLocal && !$0.isEncrypted }) else { continue }
      let instead =
        key == .http
        ? "use https://, listen on 127.0.0.1" : "use tls://, listen on 127.0.0.1 or a Unix socket"
      return [
        problem(
          key,
          "has \(name(address, key)), which can be reached from other machines and is not encrypted; "
            + "\(instead), or say --insecure")
      ]
    }
    guard !has(.policy), !has(.tlsClientCA) else { return [] }
    for (key, addresses) in allAddresses {
      guard let address = addresses.first(where: { !$0.isLocal }) else { continue }
      return [
        problem(
          key,
          "has \(name(address, key)), which can be reached from other machines and would be open to all of "
            + "them; say who may call with --policy or --tls-client-ca, or say --insecure")
      ]
    }
    return []
  }

  /// The largest call must have a place in memory.
  private var memoryContradictions: [String] {
    let limits = limits
    let needed = limits.bodyBytes + limits.metadataBytes + FrameHeader.byteCount
    let held: [(key: ConfigurationKey, byteCount: Int)] = [
      (.slabBytes, limits.slabBytes), (.connectionSlabBytes, limits.connectionSlabBytes),
    ]
    return held.filter { $0.byteCount < needed }.map { key, _ in
      self[key].origin == .standard
        ? problem(.bodyBytes, "needs \(key.rawValue) of at least \(needed) too")
        : problem(key, "must be at least \(needed), so that a call of limits.body_bytes has room in it")
    }
  }

  /// Files and folders that the configuration file names and that cannot be read, a line each.
  var missingFiles: [String] {
    ConfigurationKey.allCases.compactMap { key in
      guard case .file = self[key].origin, key.form != .output, key.form != .madeFolder,
        case .path(let path) = self[key].value,
        let reason = readingProblem(path, isFolder: key.form == .folder || key.form == .repository)
      else { return nil }
      return problem(key, "is \(path): \(reason)")
    }
  }
}

/// Why a file or folder cannot be read, or nil.
private func readingProblem(_ path: String, isFolder: Bool) -> String? {
  var status = stat()
  guard stat(path, &status) == 0 else { return systemReason() }
  let kind = isFolder ? S_IFDIR : S_IFREG
  guard status.st_mode & S_IFMT == kind else { return isFolder ? "not a folder" : "not a file" }
  return access(path, isFolder ? R_OK | X_OK : R_OK) == 0 ? nil : systemReason()
}
