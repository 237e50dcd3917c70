/// A name for a slot that stays distinct when the slot is used again: an index and a generation in one word, so that it
/// can ride in an epoll event and a late event finds nobody.
package struct SlotKey: Equatable, Sendable {
  package let rawValue: UInt64

  @inlinable package init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable package init(index: Int, generation: UInt32) {
    rawValue = UInt64(generation) << 32 | UInt64(UInt32(truncatingIfNeeded: index))
  }

  @inlinable package var index: Int { Int(UInt32(truncatingIfNeeded: rawValue)) }
  @inlinable package var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}

/// A fixed number of places for values that cannot be copied. Memory is taken once.
///
/// Invariant of the unsafe code here: `elements[i]` is initialised exactly while `generations[i]` is odd.
package struct SlotTable<Element: ~Copyable>: ~Copyable {
  private let elements: UnsafeMutablePointer<Element>
  private let generations: UnsafeMutablePointer<UInt32>
  private let free: UnsafeMutablePointer<UInt32>
  private var freeCount: Int
  package let capacity: Int

  package init(capacity: Int) {
    self.capacity = capacity
    elements = .allocate(capacity: capacity)
    generations = .allocate(capacity: capacity)
    free = .allocate(capacity: capacity)
    generations.initialize(repeating: 0, count: capacity)
    for index in 0..<capacity { (free + index).initialize(to: UInt32(capacity - 1 - index)) }
    freeCount = capacity
  }

  deinit {
    for index in 0..<capacity where generations[index] & 1 == 1 { (elements + index).deinitialize(count: 1) }
    elements.deallocate()
    generations.deallocate()
    free.deallocate()
  }

  /// Values in the table.
  package var count: Int { capacity - freeCount }

  /// Puts a value in a free place. The caller has checked that `count < capacity`.
  package mutating func insert(_ element: consuming Element) -> SlotKey {
    precondition(freeCount > 0, "the slot table is full")
    freeCount -= 1
    let index = Int(free[freeCount])
    generations[index] &+= 1
    (elements + index).initialize(to: element)
    return SlotKey(index: index, generation: generations[index])
  }

  /// The value's place, or nil when it has gone. Valid until it is removed.
  package func pointer(to key: SlotKey) -> UnsafeMutablePointer<Element>? {
    let index = key.index
    guard index < capacity, generations[index] == key.generation, key.generation & 1 == 1 else { return nil }
    return elements + index
  }

  /// Takes the value out; false when it has gone already.
  @discardableResult
  package mutating func remove(_ key: SlotKey) -> Bool {
    guard let place = pointer(to: key) else { return false }
    place.deinitialize(count: 1)
    generations[key.index] &+= 1
    free[freeCount] = UInt32(key.index)
    freeCount += 1
    return true
  }

  /// The key of the value at `index`, or nil when that place is free: for walking over all values.
  package func key(at index: Int) -> SlotKey? {
    generations[index] & 1 == 1 ? SlotKey(index: index, generation: generations[index]) : nil
  }
}
