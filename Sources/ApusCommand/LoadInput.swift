/// What calls send: numbers, or texts.
struct LoadInput: Sendable {
  /// One call's numbers, or those of several calls, one after another; empty where texts are sent.
  private let values: [Float]
  /// One call's texts, one after another; empty where numbers are sent.
  private let letters: [UInt8]
  /// Bytes of each text of a call; empty where numbers are sent.
  let textLengths: [Int]
  /// Of one call, the rows first.
  let shape: [Int]
  /// An input changes from call to call, so that nothing could answer from memory.
  private let isVaried: Bool

  /// An array's numbers, of one call or of several.
  init(values: [Float], shape: [Int]) {
    self.values = values
    self.shape = shape
    (letters, textLengths) = ([], [])
    isVaried = false
  }

  /// Random numbers from -1 to 1.
  init(randomRows rows: Int, shape: [Int]) {
    self.shape = [rows] + shape
    values = (0..<self.shape.reduce(1, *)).map { _ in Float.random(in: -1..<1) }
    (letters, textLengths) = ([], [])
    isVaried = true
  }

  /// Sentences of random words, as long as people's: 8 to 24 words of 2 to 9 letters.
  init(randomTexts rows: Int) {
    shape = [rows]
    isVaried = true
    values = []
    var letters: [UInt8] = []
    var textLengths: [Int] = []
    let alphabet = UInt8(ascii: "a")...UInt8(ascii: "z")
    for _ in 0..<rows {
      let words = (0..<Int.random(in: 8...24)).map { _ in
        (0..<Int.random(in: 2...9)).map { _ in UInt8.random(in: alphabet) }
      }
      let text = Array(words.joined(separator: [UInt8(ascii: " ")]))
      letters += text
      textLengths.append(text.count)
    }
    (self.letters, self.textLengths) = (letters, textLengths)
  }

  /// Bytes of one call.
  var callBytes: Int { textLengths.isEmpty ? 4 * shape.reduce(1, *) : letters.count }

  /// Calls whose inputs are here.
  var calls: Int { textLengths.isEmpty ? 4 * values.count / callBytes : 1 }

  /// From one call to the next where they lie to be sent: each begins on a multiple of 64.
  var strideBytes: Int { (callBytes + 63) & ~63 }

  /// Puts the bytes of all calls into memory of `calls * strideBytes`.
  func write(to memory: UnsafeMutableRawBufferPointer) {
    let (callBytes, strideBytes) = (callBytes, strideBytes)
    guard textLengths.isEmpty else { return memory.copyBytes(from: letters) }
    values.withUnsafeBytes { values in
      for call in 0..<calls {
        UnsafeMutableRawBufferPointer(rebasing: memory[(call * strideBytes)...])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: values[(call * callBytes)...].prefix(callBytes)))
      }
    }
  }

  /// Makes the input of the call with this number another one, where it lies to be sent: a number rises by
  /// `step`, or a letter of the texts becomes the next one of the alphabet.
  func vary(call: Int, by step: Float, in memory: UnsafeMutableRawBufferPointer) {
    guard isVaried else { return }
    guard textLengths.isEmpty else {
      let place = call % letters.count
      let letter = memory[place]
      guard letter != UInt8(ascii: " ") else { return vary(call: call + 1, by: step, in: memory) }
      memory[place] = letter == UInt8(ascii: "z") ? UInt8(ascii: "a") : letter + 1
      return
    }
    // There is one call, as its numbers are random.
    let place = 4 * (call % values.count)
    let number = memory.load(fromByteOffset: place, as: Float.self)
    memory.storeBytes(of: number + step, toByteOffset: place, as: Float.self)
  }
}
