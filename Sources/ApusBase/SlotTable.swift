/// A name for a slot that stays distinct when the slot is used again: an index and a generation in one word,
/// so that it can ride in an epoll event and a late event finds nobody.
public struct SlotKey: Equatable, Sendable {
  public let rawValue: UInt64

  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable public init(index: Int, generation: UInt32) {
    rawValue = UInt64(generation) << 32 | UInt64(UInt32(truncatingIfNeeded: index))
  }

  @inlinable public var index: Int { Int(UInt32(truncatingIfNeeded: rawValue)) }
  @inlinable public var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}

/// A fixed number of places for values that cannot be copied. Address space is taken once; a place's memory
/// is not touched before the place is first used.
///
/// Invariant of the unsafe code here: `generations[i]` is initialised for `i < touched`, and `elements[i]`
/// exactly while that generation is odd. `free` holds the `freeCount` places below `touched` that are free.
public struct SlotTable<Element: ~Copyable>: ~Copyable {
  @usableFromInline let elements: UnsafeMutablePointer<Element>
  @usableFromInline let generations: UnsafeMutablePointer<UInt32>
  private let free: UnsafeMutablePointer<UInt32>
  private var freeCount = 0
  /// Places that have ever been used: the first ones.
  @usableFromInline private(set) var touched = 0
  package let capacity: Int

  package init(capacity: Int) {
    self.capacity = capacity
    elements = .allocate(capacity: capacity)
    generations = .allocate(capacity: capacity)
    free = .allocate(capacity: capacity)
  }

  deinit {
    for index in 0..<touched where generations[index] & 1 == 1 { (elements + index).deinitialize(count: 1) }
    elements.deallocate()
    generations.deallocate()
    free.deallocate()
  }

  /// Values in the table.
  package var count: Int { touched - freeCount }

  /// Puts a value in a free place. The caller has checked that `count < capacity`.
  package mutating func insert(_ element: consuming Element) -> SlotKey {
    let index = takePlace()
    generations[index] &+= 1
    (elements + index).initialize(to: element)
    return SlotKey(index: index, generation: generations[index])
  }

  /// The place that was freed last, or one that was never used.
  private mutating func takePlace() -> Int {
    if freeCount > 0 {
      freeCount -= 1
      return Int(free[freeCount])
    }
    precondition(touched < capacity, "the slot table is full")
    (generations + touched).initialize(to: 0)
    touched += 1
    return touched - 1
  }

  /// The value's place, or nil when it has gone. Valid until it is removed.
  @inlinable public func pointer(to key: SlotKey) -> UnsafeMutablePointer<Element>? {
    let index = key.index
    guard index < touched, generations[index] == key.generation, key.generation & 1 == 1 else { return nil }
    return elements + index
  }

  /// Ends the value; false when it has gone already.
  @discardableResult
  package mutating func remove(_ key: SlotKey) -> Bool {
    switch take(key) {
    case .some: true
    case .none: false
    }
  }

  /// Takes the value out; nil when it has gone already.
  package mutating func take(_ key: SlotKey) -> Element? {
    guard let place = pointer(to: key) else { return nil }
    generations[key.index] &+= 1
    (free + freeCount).initialize(to: UInt32(key.index))
    freeCount += 1
    return place.move()
  }

  /// The key of the value at `index`, or nil when that place is free: for walking over all values.
  @inlinable public func key(at index: Int) -> SlotKey? {
    index < touched && generations[index] & 1 == 1
      ? SlotKey(index: index, generation: generations[index]) : nil
  }
}
