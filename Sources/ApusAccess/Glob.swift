/// A pattern in which `*` stands for any run of bytes, the empty one included; every other byte stands for
/// itself.
struct Glob: Sendable, Equatable {
  private let pattern: [UInt8]

  /// Stars side by side mean the same as one.
  init(_ text: some StringProtocol) {
    var pattern: [UInt8] = []
    for byte in text.utf8 where byte != Self.star || pattern.last != Self.star { pattern.append(byte) }
    self.pattern = pattern
  }

  private static let star = UInt8(ascii: "*")

  var text: String { String(decoding: pattern, as: UTF8.self) }

  /// Takes at most as many steps as the product of both lengths: only the last star is ever tried again, as
  /// one before it could not gain anything.
  func matches(_ text: UnsafeRawBufferPointer) -> Bool {
    var (position, place) = (0, 0)
    // Behind the last star, and where the text goes on after what that star has taken.
    var retry: (position: Int, place: Int)?
    while place < text.count {
      if position < pattern.count, pattern[position] == Self.star {
        position += 1
        retry = (position, place)
      } else if position < pattern.count, pattern[position] == text[place] {
        position += 1
        place += 1
      } else if let last = retry {
        position = last.position
        place = last.place + 1
        retry = (position, place)
      } else {
        return false
      }
    }
    if position < pattern.count, pattern[position] == Self.star { position += 1 }
    return position == pattern.count
  }
}
