import Glibc

extension ServeConfiguration {
  /// Where models come from that lie in no folder of this machine.
  struct Store: Equatable, Sendable {
    let url: String
    /// The folder that they come into.
    var cache: String?
    var intervalSeconds: Int
    var endpoint: String?
    var region: String?
    /// Of those who may sign the store's certificate, in PEM; nil: the system's.
    var certificates: String?

    /// Without what may be a signature.
    var shownURL: String { String(url.prefix { $0 != "?" }) }

    /// A folder for this store alone, so that no two mix; nil where there is no place for one.
    func standardCache() -> String? { standardCacheFolder().map { "\($0)/\(name)" } }

    /// FNV-1a, 64 bits, of what tells stores apart.
    private var name: String {
      var hash: UInt64 = 0xCBF2_9CE4_8422_2325
      for byte in "\(shownURL)\n\(endpoint ?? "")".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      let digits = String(hash, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
  }
}

/// The folder for what may be made again; nil where there is no place for one.
func standardCacheFolder() -> String? {
  func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.hasPrefix("/") ? $0 : nil }
  }
  if let folder = variable("XDG_CACHE_HOME") { return folder + "/apus" }
  if access("/var/cache", W_OK) == 0 || access("/var/cache/apus", W_OK) == 0 { return "/var/cache/apus" }
  return variable("HOME").map { $0 + "/.cache/apus" }
}
