package import ApusTLS

/// Whom a client's verified certificate names, for callers that no reactor has met.
package struct LocalCertificate: Sendable {
  let caller: Caller

  package init(_ peer: TLSPeer) { caller = Caller(peer) }
}
