import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Testing

/// No user-space copy of the tensor: BLAS reads it at the address that recv was given. A byte flipped there,
/// after it was received and before BLAS is called, changes the answer.
@Suite(.serialized, .enabled(if: !isSanitized)) struct CopyTests {
  struct Run {
    let model: String
    let floats: Int
    /// Sent together.
    let calls: Int
    /// The call of which a number is flipped, one in the middle: a digit's first pixel is blank.
    let changed: Int
  }

  /// A single row of two outputs is no work for BLAS.
  private static let runs =
    [(1, 0), (8, 0), (8, 5), (8, 7)].map { Run(model: "digits", floats: 64, calls: $0, changed: $1) }
    + [(8, 0), (8, 5), (8, 7)].map { Run(model: "textclassifier", floats: 100, calls: $0, changed: $1) }

  @Test(arguments: runs)
  func tensorIsReadWhereItWasReceived(_ run: Run) throws {
    let interposer = try Interposer()
    let server = try ServedRepository(["--threads", "1"], environment: interposer.environment)
    var connection = try ClientConnection.open(Address(server.address))
    let call = ClassifyCall(run.model)
    let input = (0..<run.floats).map { 1 + Float($0 % 7) }
    let expected = try connection.answers(input, call, run.calls)
    // The first frame tells how long a request's metadata is: its body begins where `FrameLayout` says.
    let layout = try requestLayout(call, floats: run.floats)
    let unarmed = try connection.answers(input, call, run.calls)
    #expect(unarmed == expected)
    #expect(interposer.flipped == 0)

    interposer.arm(
      offset: run.changed * layout.frameBytes + layout.bodyOffset + 4 * (run.floats / 2 + 4) + 3)
    let answers = try connection.answers(input, call, run.calls)
    #expect(interposer.flipped == 1)
    for index in 0..<run.calls {
      #expect((answers[index] == expected[index]) == (index != run.changed), "call \(index)")
    }
    #expect(try connection.answers(input, call, run.calls) == expected)
  }

  /// Metadata as the client encodes it.
  private func requestLayout(_ call: ClassifyCall, floats: Int) throws -> FrameLayout {
    let memory = AlignedBuffer(byteCount: 4096)
    let arena = MetadataArena(byteCount: 4096)
    let bytes = ClassifyOptions(model: call.model).encode(
      dtype: .float32, shape: [1, floats], byteCount: floats * 4, into: memory.bytes, arena: arena)
    try #require(bytes > 0)
    return FrameLayout(metadataBytes: bytes, bodyBytes: floats * 4)
  }
}

extension ClientConnection {
  /// The answers to so many equal calls that are sent together.
  fileprivate mutating func answers(_ input: [Float], _ call: ClassifyCall, _ calls: Int) throws -> [[Float]]
  {
    for _ in 0..<calls { _ = try submit(call, input) }
    _ = sendSome()
    var answers: [[Float]] = []
    for _ in 0..<calls { answers.append(try probabilities()) }
    return answers
  }
}
