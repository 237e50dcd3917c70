/// What a server speaks inside TLS, as ALPN names it (RFC 7301).
package enum TLSApplication: String, Sendable {
  case apus = "apus/1"
  case http = "http/1.1"

  /// The name with its length before it, as it stands in the list.
  var listed: [UInt8] { [UInt8(rawValue.utf8.count)] + Array(rawValue.utf8) }
}

/// What a server shows and asks for. All of it is PEM text.
package struct TLSServerConfiguration: Sendable {
  /// The server's own certificate first, then those that lead to the authority.
  package var certificateChain: [UInt8]
  package var privateKey: [UInt8]
  /// If set, a client must show a certificate that one of these has signed.
  package var clientAuthorities: [UInt8]?
  package var minimumVersion: TLSVersion
  package var application = TLSApplication.apus

  package init(
    certificateChain: [UInt8], privateKey: [UInt8], clientAuthorities: [UInt8]? = nil,
    minimumVersion: TLSVersion = .v13
  ) {
    self.certificateChain = certificateChain
    self.privateKey = privateKey
    self.clientAuthorities = clientAuthorities
    self.minimumVersion = minimumVersion
  }

  /// Overwrites the private key with zeros where this value is the only holder of its bytes, once a context
  /// is made of it.
  package mutating func wipePrivateKey() { wipe(&privateKey) }
}

/// Whom a client trusts and what it shows. All of it is PEM text.
package struct TLSClientConfiguration: Sendable {
  /// Who may sign a server's certificate; nil: whom the system trusts.
  package var authorities: [UInt8]?
  /// The client's own certificate first, then those that lead to the authority; nil: it shows none.
  package var certificateChain: [UInt8]?
  /// Set exactly if the chain is.
  package var privateKey: [UInt8]?
  package var minimumVersion: TLSVersion

  package init(
    authorities: [UInt8]? = nil, certificateChain: [UInt8]? = nil, privateKey: [UInt8]? = nil,
    minimumVersion: TLSVersion = .v12
  ) {
    self.authorities = authorities
    self.certificateChain = certificateChain
    self.privateKey = privateKey
    self.minimumVersion = minimumVersion
  }

  /// Overwrites the private key with zeros where this value is the only holder of its bytes, once a context
  /// is made of it.
  package mutating func wipePrivateKey() {
    guard var key = privateKey else { return }
    privateKey = nil
    wipe(&key)
    privateKey = key
  }
}
