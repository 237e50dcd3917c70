import ApusBase

/// The bytes of all bodies of HTTP, counted with the large calls over RPC: however they come, callers
/// together take no more memory than `limits.slab_bytes`.
struct BodyBudget: Sendable {
  let account: MemoryAccount

  private static let smallBytes = 64 << 10

  /// Whether there is room. A small body always has it, and a lone one.
  func take(_ bytes: Int, behind own: Int) -> Bool {
    if account.take(bytes) { return true }
    guard own + bytes <= Self.smallBytes || account.heldBytes == own else { return false }
    account.add(bytes)
    return true
  }

  func give(_ bytes: Int) { account.give(bytes) }
}
