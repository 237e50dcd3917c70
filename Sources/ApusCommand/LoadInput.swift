/// What calls send: numbers, or texts.
struct LoadInput: Sendable {
  /// One call's numbers, or those of several calls, one after another; empty where texts are sent.
  private var values: [Float] = []
  /// One call's texts, one after another; empty where numbers are sent.
  private var letters: [UInt8] = []
  /// Bytes of each text of a call; empty where numbers are sent.
  private(set) var textLengths: [Int] = []
  /// Of one call, the rows first.
  let shape: [Int]
  /// An input changes from call to call, so that nothing could answer from memory.
  private let isVaried: Bool

  /// An array's numbers, of one call or of several.
  init(values: [Float], shape: [Int]) {
    self.values = values
    self.shape = shape
    isVaried = false
  }

  /// Random numbers from -1 to 1.
  init(randomRows rows: Int, shape: [Int]) {
    self.shape = [rows] + shape
    values = (0..<self.shape.reduce(1, *)).map { _ in Float.random(in: -1..<1) }
    isVaried = true
  }

  /// Sentences of random words, as long as people's: 8 to 24 words of 2 to 9 letters.
  init(randomTexts rows: Int) {
    shape = [rows]
    isVaried = true
    let alphabet = UInt8(ascii: "a")...UInt8(ascii: "z")
    for _ in 0..<rows {
      let words = (0..<Int.random(in: 8...24)).map { _ in
        (0..<Int.random(in: 2...9)).map { _ in UInt8.random(in: alphabet) }
      }
      let text = Array(words.joined(separator: [UInt8(ascii: " ")]))
      letters += text
      textLengths.append(text.count)
    }
  }

  /// Numbers of one call.
  private var callCount: Int { shape.reduce(1, *) }

  /// Calls whose inputs are here.
  var calls: Int { textLengths.isEmpty ? values.count / callCount : 1 }

  /// Makes the input of the call with this number another one: a number rises by `step`, or a letter of the
  /// texts becomes the next one of the alphabet.
  mutating func vary(call: Int, by step: Float) {
    guard isVaried else { return }
    guard textLengths.isEmpty else {
      let place = call % letters.count
      let letter = letters[place]
      guard letter != UInt8(ascii: " ") else { return vary(call: call + 1, by: step) }
      letters[place] = letter == UInt8(ascii: "z") ? UInt8(ascii: "a") : letter + 1
      return
    }
    values[call % values.count] += step
  }

  /// The bytes of the call with this number.
  func withBytes<Result>(ofCallAt position: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    guard textLengths.isEmpty else { return letters.withUnsafeBytes(body) }
    let byteCount = 4 * callCount
    return values.withUnsafeBytes {
      body(UnsafeRawBufferPointer(rebasing: $0[(position * byteCount)..<((position + 1) * byteCount)]))
    }
  }
}
