import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Foundation
import Testing

/// Calls of malloc and its kin, and of mmap, in all threads of a process: none while calls are alike.
@Suite(.serialized, .enabled(if: !isSanitized)) struct AllocationTests {
  @Test(arguments: [("digits", 64), ("textclassifier", 100)])
  func serverTakesNoMemoryForCalls(_ model: String, _ floats: Int) throws {
    let interposer = try Interposer()
    let server = try ServedRepository(["--threads", "2"], environment: interposer.environment)
    // One connection on each reactor, one call after another and 128 in flight.
    var single = try ClientConnection(Address(server.address))
    var pipelined = try ClientConnection(Address(server.address))
    let call = ClassifyCall(model)
    let input = [Float](repeating: 0.5, count: floats)
    try single.classify(input, call, calls: 300, inFlight: 1)
    try pipelined.classify(input, call, calls: 3000, inFlight: 128)
    let before = interposer.taken
    try #require(before["malloc", default: 0] > 0, "nothing is counted")
    try single.classify(input, call, calls: 5000, inFlight: 1)
    try pipelined.classify(input, call, calls: 10_000, inFlight: 128)
    #expect(growth(interposer.taken, since: before) == [:])
  }

  /// Both reactors inside BLAS at once need a buffer each, which must be there before the first call.
  @Test func reactorsTakeNoMemoryTogether() throws {
    let interposer = try Interposer()
    let server = try ServedRepository(["--threads", "2"], environment: interposer.environment)
    let call = ClassifyCall("digits", shape: [128, 64])
    let input = [Float](repeating: 0.5, count: 128 * 64)
    var one = try ClientConnection(Address(server.address))
    var other = try ClientConnection(Address(server.address))
    try one.classify(input, call, calls: 20, inFlight: 1)
    try other.classify(input, call, calls: 20, inFlight: 1)
    let before = interposer.taken
    for _ in 0..<500 {
      for _ in 0..<4 {
        _ = try one.submit(call, input)
        _ = try other.submit(call, input)
      }
      try one.flush()
      try other.flush()
      try one.takeAnswers(4)
      try other.takeAnswers(4)
    }
    #expect(growth(interposer.taken, since: before) == [:])
  }

  @Test(arguments: [("digits", "64"), ("textclassifier", "100")])
  func synchronousClientTakesNoMemoryForCalls(_ model: String, _ floats: String) throws {
    let interposer = try Interposer()
    let server = try ServedRepository()
    let probe = try Probe([server.address, model, floats, "10000"], environment: interposer.environment)
    try probe.waitForStep()
    let before = interposer.taken
    try #require(before["malloc", default: 0] > 0, "nothing is counted")
    try probe.goOn()
    try probe.waitForStep()
    let after = interposer.taken
    try probe.goOn()
    #expect(growth(after, since: before) == [:])
  }
}
