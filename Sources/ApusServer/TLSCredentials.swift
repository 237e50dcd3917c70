import ApusBase
package import ApusTLS

/// The certificate and trust that new TLS connections get. Old connections keep what they began with.
package final class TLSCredentials: Sendable {
  private let context: Locked<TLSContext>

  package init(_ context: TLSContext) { self.context = Locked(context) }

  package func replace(_ context: TLSContext) { self.context.withLock { $0 = context } }

  package var current: TLSContext { context.withLock { $0 } }
}
