package import ApusBase
package import ApusIO

/// What a gateway before a server is told. It stands here for both sides: the command line, which knows the
/// configuration, and HTTP, which only one of the two executables holds.
package struct GatewaySettings: Sendable {
  /// Where HTTP is served: over TCP or TLS.
  package var addresses: [Address] = []
  package var threads = 1
  /// A thread polls for at most so long before it sleeps.
  package var spinNanoseconds: UInt64 = 50_000
  package var limits = Limits()
  /// The model of a call that names none.
  package var defaultModel: String?
  /// For the addresses that are encrypted.
  package var credentials: TLSCredentials?

  package init() {}
}
