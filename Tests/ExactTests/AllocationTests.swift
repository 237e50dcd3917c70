import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Foundation
import TestCertificates
import Testing

/// Calls of malloc and its kin, and of mmap, in all threads of a process: none while calls are alike.
@Suite(.serialized, .enabled(if: !isSanitized)) struct AllocationTests {
  /// All memory is there after some of them.
  private static let mostRounds = 6

  /// Over the socket and in a lane.
  @Test(arguments: [("digits", 64), ("textclassifier", 100)], [false, true])
  func serverTakesNoMemoryForCalls(_ model: (name: String, floats: Int), isLane: Bool) throws {
    let interposer = try Interposer()
    let server = try ServedRepository(["--threads", "2"], environment: interposer.environment)
    // One connection on each reactor, one call after another and 128 in flight.
    let address = try Address(isLane ? server.lane : server.address)
    var single = try ClientConnection.open(address)
    var pipelined = try ClientConnection.open(address)
    let call = ClassifyCall(model.name)
    let input = [Float](repeating: 0.5, count: model.floats)
    try expectNothingTaken(interposer, alone: 5000, inFlight: 10_000) { calls, inFlight in
      if inFlight == 1 {
        try single.classify(input, call, calls: calls, inFlight: 1)
      } else {
        try pipelined.classify(input, call, calls: calls, inFlight: inFlight)
      }
    }
  }

  /// Makes calls, one after another and 128 in flight, until so many take nothing: all memory is there soon,
  /// or never.
  private func expectNothingTaken(
    _ interposer: Interposer, alone: Int, inFlight: Int,
    _ classify: (_ calls: Int, _ inFlight: Int) throws -> Void
  ) throws {
    var grown: [String: UInt64] = [:]
    for _ in 0..<Self.mostRounds {
      let before = interposer.taken
      try classify(alone, 1)
      try classify(inFlight, 128)
      grown = growth(interposer.taken, since: before)
      if grown.isEmpty { break }
    }
    #expect(interposer.taken["malloc", default: 0] > 0, "nothing is counted")
    #expect(grown == [:])
  }

  /// What scikit-learn's pipelines become: a scaler with a linear classifier, and a normalizer with support
  /// vectors.
  @Test(arguments: ["scaled", "normalized"]) func serverTakesNoMemoryForPipelines(_ model: String) throws {
    let models = FileManager.default.temporaryDirectory
      .appendingPathComponent("apus-\(UUID().uuidString.prefix(8))")
    defer { try? FileManager.default.removeItem(at: models) }
    let version = models.appendingPathComponent("\(model)/1")
    try FileManager.default.createDirectory(at: version, withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: packageRoot + "/Tests/Fixtures/pipelines/\(model).onnx",
      toPath: version.appendingPathComponent("model.onnx").path)
    let interposer = try Interposer()
    let server = try ServedRepository(
      ["--threads", "1"], models: models.path, environment: interposer.environment)
    var connection = try ClientConnection.open(Address(server.address))
    let call = ClassifyCall(model, shape: [3, 6])
    let input = [Float](repeating: 0.5, count: 3 * 6)
    try expectNothingTaken(interposer, alone: 3000, inFlight: 6000) {
      try connection.classify(input, call, calls: $0, inFlight: $1)
    }
  }

  /// Texts are checked, hashed and computed in memory that was there before: one in a call and several, with
  /// letters whose lower case is looked up, and longer than a receive.
  @Test func serverTakesNoMemoryForTexts() throws {
    let interposer = try Interposer()
    // In a debug build, on a busy machine, they may wait for long.
    let environment = interposer.environment.merging(["APUS_LIMITS_QUEUE_MS": "60000"]) { $1 }
    let server = try ServedRepository(["--threads", "1"], environment: environment)
    var connection = try ClientConnection.open(Address(server.address))
    let words = "ÉTÉ, ΌΔΟΣ und \u{10400}\u{10401}: a LOVELY film, not boring "
    let calls = [[words], [words, "", words + words], [String](repeating: words, count: 200)]
    for (texts, count) in zip(calls, [1000, 1000, 50]) {
      let call = ClassifyCall("sentiment").holding(textLengths: texts.map(\.utf8.count))
      let bytes = texts.flatMap(\.utf8)
      let inFlight = min(64, (1 << 18) / bytes.count)
      var grown: [String: UInt64] = [:]
      for _ in 0..<Self.mostRounds {
        let before = interposer.taken
        try connection.classify(bytes, call, calls: count, inFlight: 1)
        try connection.classify(bytes, call, calls: 2 * count, inFlight: inFlight)
        grown = growth(interposer.taken, since: before)
        if grown.isEmpty { break }
      }
      #expect(interposer.taken["malloc", default: 0] > 0, "nothing is counted")
      #expect(grown == [:], "\(texts.count) texts")
    }
  }

  /// The access log's thread makes lines in memory that it keeps; what it takes once a second, or while its
  /// buffer grows, is no memory per call.
  @Test func serverTakesNoMemoryPerLoggedCall() throws {
    let interposer = try Interposer()
    let access = FileManager.default.temporaryDirectory
      .appendingPathComponent("apus-access-\(UUID().uuidString.prefix(8))").path
    defer { try? FileManager.default.removeItem(atPath: access) }
    let environment = interposer.environment.merging(["APUS_LOG_ACCESS_PATH": access]) { $1 }
    let server = try ServedRepository(["--threads", "1"], environment: environment)
    var connection = try ClientConnection.open(Address(server.address))
    let call = ClassifyCall("digits")
    let input = [Float](repeating: 0.5, count: 64)
    try connection.classify(input, call, calls: 300, inFlight: 1)
    try connection.classify(input, call, calls: 3000, inFlight: 128)
    let before = interposer.taken
    try #require(before["malloc", default: 0] > 0, "nothing is counted")
    try connection.classify(input, call, calls: 5000, inFlight: 1)
    try connection.classify(input, call, calls: 30_000, inFlight: 128)
    #expect(growth(interposer.taken, since: before).values.reduce(0, +) < 1000)
    server.terminate()
    let lines = try String(contentsOfFile: access, encoding: .utf8).split(separator: "\n")
    let dropped = lines.compactMap { line in
      line.firstRange(of: "\"dropped\":").map { Int(line[$0.upperBound...].prefix { $0.isNumber }) ?? 0 }
    }
    let calls = lines.count { $0.contains("\"method\":\"classify\"") }
    #expect(calls > 0 && calls + dropped.reduce(0, +) == 38_300)
  }

  /// OpenSSL takes a few bytes for each record, and our code none. A policy is in force and is asked.
  @Test func serverTakesNoMemoryForEncryptedCalls() throws {
    let interposer = try Interposer()
    let encryption = try Encryption()
    let server = try ServedRepository(
      ["--threads", "1"] + encryption.arguments, environment: interposer.environment)
    let security = try ClientSecurity(Address(encryption.address), encryption.security)
    var connection = try ClientConnection.open(Address(encryption.address), security: security)
    let call = ClassifyCall("digits")
    let input = [Float](repeating: 0.5, count: 64)
    try connection.classify(input, call, calls: 300, inFlight: 1)
    try connection.classify(input, call, calls: 3000, inFlight: 128)
    try #require(
      interposer.taken["malloc", default: 0] > 0 && interposer.takenByOpenSSL > 0, "nothing is counted")
    // Once a second the main thread looks whether the certificate has changed, and takes memory for that:
    // what calls take is seen between two looks. One may fall into two runs.
    let start = Date()
    let growing = try (0..<30).count { _ in
      let before = interposer.taken
      try connection.classify(input, call, calls: 200, inFlight: 1)
      try connection.classify(input, call, calls: 400, inFlight: 128)
      return growth(interposer.taken, since: before) != [:]
    }
    let looks = Int(Date().timeIntervalSince(start)) + 1
    #expect(growing <= 2 * looks && looks < 15, "in \(growing) of 30 runs, amid \(looks) looks")
    withExtendedLifetime(server) {}
  }

  /// Both reactors inside BLAS at once need a packing buffer each, which must be there before the first call.
  @Test func reactorsTakeNoMemoryTogether() throws {
    let interposer = try Interposer()
    // One layer too wide for the memory on the stack that OpenBLAS uses for small ones.
    let models = try oneLayerRepository("wide", inputs: 1024, outputs: 1024)
    defer { try? FileManager.default.removeItem(atPath: models) }
    let server = try ServedRepository(
      ["--threads", "2"], models: models, environment: interposer.environment)
    let call = ClassifyCall("wide", shape: [8, 1024])
    let input = [Float](repeating: 0.5, count: 8 * 1024)
    var one = try ClientConnection.open(Address(server.address))
    var other = try ClientConnection.open(Address(server.address))
    try one.classify(input, call, calls: 20, inFlight: 1)
    try other.classify(input, call, calls: 20, inFlight: 1)
    var grown: [String: UInt64] = [:]
    for _ in 0..<Self.mostRounds {
      let before = interposer.taken
      for _ in 0..<100 {
        for _ in 0..<4 {
          _ = try one.submit(call, input)
          _ = try other.submit(call, input)
        }
        _ = one.sendSome()
        _ = other.sendSome()
        try one.takeAnswers(4)
        try other.takeAnswers(4)
      }
      grown = growth(interposer.taken, since: before)
      if grown.isEmpty { break }
    }
    #expect(grown == [:])
  }

  @Test(arguments: [("digits", "64"), ("textclassifier", "100")])
  func synchronousClientTakesNoMemoryForCalls(_ model: String, _ floats: String) throws {
    let interposer = try Interposer()
    let server = try ServedRepository()
    try expectNoMemoryTaken(by: [server.address, model, floats, "10000"], interposer)
  }

  @Test func synchronousClientTakesNoMemoryForEncryptedCalls() throws {
    let interposer = try Interposer()
    let encryption = try Encryption()
    let server = try ServedRepository(encryption.arguments)
    try expectNoMemoryTaken(
      by: [encryption.address, "digits", "64", "10000"] + encryption.clientFiles, interposer)
    withExtendedLifetime(server) {}
  }

  private func expectNoMemoryTaken(by arguments: [String], _ interposer: Interposer) throws {
    let probe = try Probe(arguments, environment: interposer.environment)
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
