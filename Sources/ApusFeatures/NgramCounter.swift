/// Takes a text's scalars in lower case and counts its n-grams. An n-gram's hash grows with each of its
/// scalars, so that nothing of the text is kept.
///
/// Invariants of the unsafe code here: `output` has room for `features.dimensions` numbers, and an index is a
/// remainder of it; while counting, the bits of a number are a count, an `Int32`, as a float could not hold
/// more than 2²⁴. `states` holds `ngramsAllowed.upperBound + 1` hashes.
struct NgramCounter {
  private let features: HashingFeatures
  private let output: UnsafeMutablePointer<Float>
  /// At n: the hash of the last n units, words or characters; with words, and the one that is being read.
  private let states: UnsafeMutablePointer<MurmurHash>
  /// Units in sequence so far, no more than the longest n-gram.
  private var units = 0
  /// Scalars of the word that is being read, no more than 2; or white space in sequence, no more than 2.
  private var length = 0
  /// The word's or the white space's first scalar, held until it is clear what becomes of it.
  private var held: Unicode.Scalar = " "

  init(
    features: HashingFeatures, output: UnsafeMutablePointer<Float>, states: UnsafeMutablePointer<MurmurHash>
  ) {
    self.features = features
    self.output = output
    self.states = states
    output.update(repeating: 0, count: features.dimensions)
    states[0] = MurmurHash()
  }

  mutating func take(_ scalar: Unicode.Scalar) {
    switch features.analyzer {
    case .word: takeOfWords(scalar)
    case .char: takeOfText(scalar)
    case .charInWords: takeInWords(scalar)
    }
  }

  mutating func end() {
    switch features.analyzer {
    case .word: endWord()
    case .char: giveSpace()
    case .charInWords: endPaddedWord()
    }
  }

  private func count(_ hash: MurmurHash) {
    let value = hash.value
    let index = Int(value.magnitude % UInt32(features.dimensions))
    let count = Int32(bitPattern: output[index].bitPattern) &+ (value >= 0 ? 1 : -1)
    output[index] = Float(bitPattern: UInt32(bitPattern: count))
  }

  // MARK: Words

  /// A word has two characters at least: the first is held until there is a second.
  private mutating func takeOfWords(_ scalar: Unicode.Scalar) {
    guard scalar.isWord else { return endWord() }
    if length == 0 {
      held = scalar
      length = 1
      return
    }
    let longest = min(units + 1, features.ngrams.upperBound)
    if length == 1 {
      for n in 0..<longest {
        if n > 0 { states[n].feed(UInt8(ascii: " ")) }
        states[n].feed(held)
      }
      length = 2
    }
    for n in 0..<longest { states[n].feed(scalar) }
  }

  private mutating func endWord() {
    defer { length = 0 }
    guard length == 2 else { return }
    units = min(units + 1, features.ngrams.upperBound)
    var n = units
    while n >= 1 {
      if n >= features.ngrams.lowerBound { count(states[n - 1]) }
      states[n] = states[n - 1]
      n -= 1
    }
    states[0] = MurmurHash()
  }

  // MARK: Characters

  /// White space of two characters or more counts as one space.
  private mutating func takeOfText(_ scalar: Unicode.Scalar) {
    guard scalar.isSpace else {
      giveSpace()
      return give(scalar)
    }
    held = length == 0 ? scalar : " "
    length = 1
  }

  private mutating func giveSpace() {
    if length > 0 { give(held) }
    length = 0
  }

  private mutating func takeInWords(_ scalar: Unicode.Scalar) {
    guard !scalar.isSpace else { return endPaddedWord() }
    if length == 0 {
      units = 0
      give(" ")
      length = 1
    }
    give(scalar)
  }

  private mutating func endPaddedWord() {
    guard length > 0 else { return }
    length = 0
    give(" ")
    // A word shorter than the shortest n-gram is one.
    if units < features.ngrams.lowerBound { count(states[units]) }
  }

  /// The next character of a sequence.
  private mutating func give(_ scalar: Unicode.Scalar) {
    units = min(units + 1, features.ngrams.upperBound)
    var n = units
    while n >= 1 {
      states[n] = states[n - 1]
      states[n].feed(scalar)
      if n >= features.ngrams.lowerBound { count(states[n]) }
      n -= 1
    }
  }
}
