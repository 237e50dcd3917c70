/// Finds a name among thousands in the time that it takes among one: open addressing with linear probing
/// (Knuth, The Art of Computer Programming 3, 6.4), at most half full.
struct NameTable: Sendable {
  private struct Slot {
    var hash: UInt64 = 0
    /// -1: empty.
    var place: Int32 = -1
  }

  private let names: [[UInt8]]
  private var slots: [Slot]

  /// - Parameter names: each is another.
  init(_ names: [[UInt8]]) {
    var count = 2
    while count < 2 * names.count { count *= 2 }
    self.names = names
    slots = [Slot](repeating: Slot(), count: count)
    for (place, name) in names.enumerated() {
      let hash = name.withUnsafeBytes { ModelRoute.hash($0) }
      var index = first(hash)
      while slots[index].place >= 0 { index = next(index) }
      slots[index] = Slot(hash: hash, place: Int32(place))
    }
  }

  /// Where the name stands among those that this was made of; nil where it is none of them.
  func place(of name: UnsafeRawBufferPointer) -> Int? {
    let hash = ModelRoute.hash(name)
    var index = first(hash)
    while slots[index].place >= 0 {
      let place = Int(slots[index].place)
      if slots[index].hash == hash, isName(place, name) { return place }
      index = next(index)
    }
    return nil
  }

  private func isName(_ place: Int, _ name: UnsafeRawBufferPointer) -> Bool {
    names[place].withUnsafeBytes { bytes in
      guard bytes.count == name.count else { return false }
      guard let own = bytes.baseAddress, let other = name.baseAddress else { return true }
      return equal(own, other, name.count)
    }
  }

  private func first(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (slots.count - 1) }
  private func next(_ index: Int) -> Int { (index + 1) & (slots.count - 1) }
}
