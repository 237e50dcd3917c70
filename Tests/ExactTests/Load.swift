import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Testing

extension ClientConnection {
  /// Submits one call; its input is numbers, or the bytes of texts.
  mutating func submit<Element: BitwiseCopyable>(_ call: ClassifyCall, _ input: [Element]) throws -> UInt64 {
    try #require(try input.withUnsafeBytes { try submit(call, $0) }, "there is no room for the call")
  }

  /// Makes so many equal calls, `inFlight` at a time, and takes all answers.
  mutating func classify<Element: BitwiseCopyable>(
    _ input: [Element], _ call: ClassifyCall, calls: Int, inFlight: Int
  ) throws {
    var submitted = 0
    var answered = 0
    while answered < calls {
      while submitted < calls, submitted - answered < inFlight {
        _ = try submit(call, input)
        submitted += 1
      }
      _ = sendSome()
      var next = try receive(until: bound)
      try #require(next != nil, "no answer comes")
      while let answer = next {
        try #require(!answer.isStatus, "\(status(answer).message)")
        answered += 1
        next = try nextAnswer()
      }
    }
  }

  /// Takes so many answers.
  mutating func takeAnswers(_ count: Int) throws {
    for _ in 0..<count { _ = try probabilities() }
  }

  /// The numbers of the next answer.
  mutating func probabilities() throws -> [Float] {
    let answer = try #require(try receive(until: bound), "no answer comes")
    try #require(!answer.isStatus, "\(status(answer).message)")
    return Array(answer.body.bindMemory(to: Float.self))
  }
}

/// A test that hangs ends here.
private var bound: Instant { Instant.now.advanced(by: 20_000_000_000) }
