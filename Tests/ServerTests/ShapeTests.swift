import ApusWire
import Testing

/// Inputs that do not fit their model.
@Suite(.timeLimit(.minutes(15))) struct ShapeTests {
  private static func models() throws -> MetricsServer {
    try MetricsServer([
      MetricsServer.model("m", inputs: 6), MetricsServer.model("m", version: 2, inputs: 3),
      MetricsServer.model("m", version: 3, inputs: 4), MetricsServer.model("other", inputs: 5),
    ])
  }

  /// What the newest version of `m`, of four inputs, says to these.
  private static func message(_ inputs: Int, _ shape: [Int]? = nil) throws -> String? {
    let server = try models()
    let connection = try RawConnection(server.address)
    connection.send(classifyFrame(1, "m", [Float](repeating: 1, count: inputs), shape: shape))
    let status = try connection.answer()?.status
    #expect(status == nil || status?.code == .invalidArgument && status?.reason == "SHAPE_MISMATCH")
    return status?.message
  }

  @Test func theMessageSaysWhatFits() throws {
    #expect(try Self.message(4) == nil)
    #expect(
      try Self.message(5) == "model 'm' takes float32 of shape (rows, 4); the call holds (1, 5)",
      "another model would take it, which is not what was asked for")
    #expect(
      try Self.message(3)
        == "model 'm' takes float32 of shape (rows, 4); the call holds (1, 3), which version 2 takes")
    #expect(
      try Self.message(6, [1, 6])
        == "model 'm' takes float32 of shape (rows, 4); the call holds (1, 6), which version 1 takes")
    #expect(
      try Self.message(6, [1, 2, 3])
        == "model 'm' takes float32 of shape (rows, 4); the call holds (1, 2, 3), which version 1 takes")
  }

  /// With a zero in a shape, any first dimension goes with a body of no bytes: multiplied by the width of a
  /// row it would be more than a number can be.
  @Test(arguments: [[1 << 60, 0], [Int.max / 4, 0], [0, 1 << 60], [0, 4], [1 << 60, 0, 7]])
  func emptyBodiesHaveNoRows(_ shape: [Int]) throws {
    #expect(try Self.message(0, shape) != nil)
  }

  @Test func whichVersionsThereAreIsSaid() throws {
    let server = try Self.models()
    let connection = try RawConnection(server.address)
    connection.send(classifyFrame(1, "m", [1, 1, 1]) { $0.version = 7 })
    let status = try #require(try connection.answer()?.status)
    #expect(status.code == .notFound && status.reason == "VERSION_NOT_FOUND")
    #expect(
      status.message
        == "model 'm' has no such version or alias; there are versions 1, 2, 3")
  }

  @Test func aShapeWithoutRowsIsRefused() throws {
    #expect(try Self.message(4, [4]) != nil)
    #expect(try Self.message(8, [4, 2]) != nil)
    #expect(try Self.message(8, [2, 4]) == nil)
  }
}
