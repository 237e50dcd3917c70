/// The bytes of all bodies that one thread of HTTP holds, bounded, so that many connections together take no
/// more memory than large calls over RPC may.
///
/// Invariant of the unchecked conformance: everything is touched on the loop's thread alone.
final class BodyBudget: @unchecked Sendable {
  private let most: Int
  private var held = 0

  init(bytes: Int) { most = bytes }

  private static let smallBytes = 64 << 10

  /// Whether there is room. A small body always has it, and a lone one.
  func take(_ bytes: Int, behind own: Int) -> Bool {
    guard held + bytes <= most || own + bytes <= Self.smallBytes || held == own else { return false }
    held += bytes
    return true
  }

  func give(_ bytes: Int) { held -= bytes }
}
