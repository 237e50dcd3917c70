import ApusLane
import ApusWire

/// The regions that one connection has registered, few, by their numbers.
struct RegionTable {
  /// A registration whose descriptor has not come yet.
  struct Awaited {
    let requestID: UInt64
    let request: RegisterRegionRequest
  }

  private var entries: [(number: UInt32, region: SharedRegion)] = []
  private(set) var byteCount = 0
  var awaited: Awaited?

  var count: Int { entries.count }

  subscript(number: UInt32) -> SharedRegion? {
    for index in 0..<entries.count where entries[index].number == number { return entries[index].region }
    return nil
  }

  mutating func add(_ number: UInt32, _ region: SharedRegion) {
    entries.append((number, region))
    byteCount += region.bytes.count
  }

  /// - Returns: whether it was there.
  mutating func remove(_ number: UInt32) -> Bool {
    guard let index = entries.firstIndex(where: { $0.number == number }) else { return false }
    byteCount -= entries.remove(at: index).region.bytes.count
    return true
  }
}
