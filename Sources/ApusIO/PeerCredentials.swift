import CLinux

/// Who is at the other end of a Unix socket, as the kernel noted it when the connection was made (SO_PEERCRED
/// and SO_PEERGROUPS of unix(7)).
package struct PeerCredentials: Equatable, Sendable {
  package let user: UInt32
  /// The primary group, then the supplementary ones.
  package let groups: [UInt32]

  /// - Returns: nil when the socket is none of a Unix connection.
  package init?(_ descriptor: borrowing Descriptor) {
    var (process, user, group): (UInt32, UInt32, UInt32) = (0, 0, 0)
    guard clinux_peer_credentials(descriptor.number, &process, &user, &group) == 0 else { return nil }
    self.user = user
    let supplementary = Self.supplementaryGroups(descriptor)
    groups = [group] + supplementary.filter { $0 != group }
  }

  /// As many as Linux lets a process have (NGROUPS_MAX) at most.
  private static func supplementaryGroups(_ descriptor: borrowing Descriptor) -> [UInt32] {
    var capacity = 64
    while capacity <= 65_536 {
      let number = descriptor.number
      var count: Int32 = 0
      let groups = [UInt32](unsafeUninitializedCapacity: capacity) { places, used in
        count = clinux_peer_groups(number, places.baseAddress, Int32(capacity))
        used = max(0, Int(count))
      }
      if count >= 0 { return groups }
      capacity *= 32
    }
    return []
  }
}
