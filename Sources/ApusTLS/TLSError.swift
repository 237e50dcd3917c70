/// What is wrong with a certificate, a key or a session, and what to do: one line.
package struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }
}

/// The lowest version of TLS that a side speaks; the highest is always 1.3.
package enum TLSVersion: String, CaseIterable, Sendable {
  case v12 = "1.2"
  case v13 = "1.3"
}
