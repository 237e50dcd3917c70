import ApusIO
import Foundation
import Testing

/// A body of 64 MiB is in memory once on each side: the server receives it where it is computed with, and the
/// client sends it from where its caller has it. Afterwards its memory is the system's again.
@Suite(.serialized, .enabled(if: !isSanitized)) struct LargeMemoryTests {
  static let largeBytes = 64 << 20
  /// What else a call may take: rings, buffers of TLS, the model's workspace.
  static let slackBytes = 4 << 20

  enum Way: CaseIterable { case unix, tcp, tls, lane }

  @Test(arguments: Way.allCases, [false, true])
  func largeBodiesAreHeldOnce(_ way: Way, isAsynchronous: Bool) throws {
    let models = try oneLayerRepository("digwide", inputs: 262_144, outputs: 2)
    defer { try? FileManager.default.removeItem(atPath: models) }
    try expectOnce(
      way, models: models, input: "64x262144", isAsynchronous, bodyBytes: Self.largeBytes, answerBytes: 0)
  }

  @Test(arguments: Way.allCases, [false, true])
  func largeAnswersAreHeldOnce(_ way: Way, isAsynchronous: Bool) throws {
    let models = try oneLayerRepository("digwide", inputs: 1, outputs: 262_144)
    defer { try? FileManager.default.removeItem(atPath: models) }
    try expectOnce(
      way, models: models, input: "64x1", isAsynchronous, bodyBytes: 0, answerBytes: Self.largeBytes)
  }

  private func expectOnce(
    _ way: Way, models: String, input: String, _ isAsynchronous: Bool, bodyBytes: Int, answerBytes: Int
  ) throws {
    let encryption = try Encryption()
    let listening = way == .tls ? encryption.arguments : ["--listen", encryption.plainAddress]
    let server = try ServedRepository(["--threads", "1"] + listening, models: models)
    let address =
      switch way {
      case .unix: server.address
      case .tcp: encryption.plainAddress
      case .tls: encryption.address
      case .lane: server.lane
      }
    let probe = try Probe(
      [address, "digwide", input, "2"] + (way == .tls ? encryption.clientFiles : []),
      environment: isAsynchronous ? ["APUS_PROBE": "asynchronous"] : [:])
    try probe.waitForStep()
    let (serverMemory, clientMemory) = (ProcessMemory(server.processID), ProcessMemory(probe.processID))
    let (serverBefore, clientBefore) = (try serverMemory.begin(), try clientMemory.begin())
    try probe.goOn()
    try probe.waitForStep()
    let serverGrowth = try serverMemory.peakBytes - serverBefore
    let clientGrowth = try clientMemory.peakBytes - clientBefore
    // An answer comes before its call's memory goes.
    for _ in 0..<100 where try serverMemory.residentBytes - serverBefore >= Self.slackBytes { usleep(50_000) }
    let serverAfter = try serverMemory.residentBytes
    let clientAfter = try clientMemory.residentBytes
    print(
      "\(way) \(input) \(isAsynchronous): server +\(serverGrowth >> 10), then "
        + "\((serverAfter - serverBefore) >> 10) KiB; client +\(clientGrowth >> 10), then "
        + "\((clientAfter - clientBefore) >> 10) KiB")
    #expect(serverGrowth > Self.largeBytes / 2, "nothing is measured")
    #expect(serverGrowth < Self.largeBytes + Self.slackBytes)
    #expect(serverAfter - serverBefore < Self.slackBytes)
    #expect(clientGrowth < answerBytes + Self.slackBytes)
    #expect(clientAfter - clientBefore < answerBytes + Self.slackBytes)
    try probe.goOn()
    withExtendedLifetime(encryption) {}
  }
}

/// What the kernel knows of a process's memory (proc(5), `status` and `clear_refs`).
private struct ProcessMemory {
  private let processID: Int32

  init(_ processID: Int32) { self.processID = processID }

  /// Forgets the peak.
  ///
  /// - Returns: bytes in RAM now.
  func begin() throws -> Int {
    try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/\(processID)/clear_refs"))
    return try residentBytes
  }

  var residentBytes: Int { get throws { try bytes("VmRSS") } }
  var peakBytes: Int { get throws { try bytes("VmHWM") } }

  private func bytes(_ name: String) throws -> Int {
    let text = try String(contentsOfFile: "/proc/\(processID)/status", encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + ":") })
    let number = line.split(whereSeparator: \.isWhitespace).dropFirst().first
    return 1024 * (try #require(number.flatMap { Int($0) }))
  }
}
