import ApusBase
import ApusIO
import ArgumentParser
import Testing

@testable import ApusCommand

/// Which of the four sources holds, for each key.
@Suite struct PrecedenceTests {
  @Test(arguments: ConfigurationKey.allCases)
  func theStrongestSourceHolds(_ key: ConfigurationKey) throws {
    let folder = try TemporaryFolder()
    let texts = key.samples
    let path = try folder.file(key.yaml(texts[0]))
    let values = try texts.map { try key.form.parse([$0]) }
    #expect(values[0] != key.row.standard && values[1] != values[0] && values[2] != values[1])
    let file = ConfigurationLayer(file: path)
    let environment = ConfigurationLayer(environment: [key.variable: texts[1]])
    let flags = try flagLayer(key.arguments(texts[2]))
    #expect((file.problems + environment.problems + flags.problems).isEmpty)
    let none = ConfigurationLayer()
    let inFile = ConfigurationOrigin.file(path: path, line: key.valueLine)
    for present in 0..<8 {
      let (hasFile, hasVariable) = (present & 1 != 0, present & 2 != 0)
      let hasFlag = present & 4 != 0 && key.flag != nil
      let setting = ServeConfiguration([
        hasFile ? file : none, hasVariable ? environment : none, hasFlag ? flags : none,
      ])[key]
      let expected =
        if hasFlag { ConfigurationSetting(value: values[2], origin: .flag) } else if hasVariable {
          ConfigurationSetting(value: values[1], origin: .environment)
        } else if hasFile {
          ConfigurationSetting(value: values[0], origin: inFile)
        } else {
          ConfigurationSetting(value: key.row.standard, origin: .standard)
        }
      #expect(setting == expected, "\(key) from \(present)")
    }
  }

  @Test func eachKeyIsLookedUpByItself() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("threads: 2\nspin_us: 3\nlimits: {drain_ms: 4, connections: 5}\n")
    let configuration = try ServeConfiguration(
      file: path, flags: [(.spinMicroseconds, ["30"])], environment: ["APUS_LIMITS_DRAIN_MS": "40"])
    #expect(configuration.threads == 2)
    #expect(configuration.spinNanoseconds == 30_000)
    #expect(configuration.limits.drainNanoseconds == 40_000_000)
    #expect(configuration.limits.connections == 5)
    let sources = ConfigurationKey.allCases.filter { configuration[$0].origin != .standard }
    #expect(sources == [.threads, .spinMicroseconds, .connections, .drain])
  }

  @Test(arguments: [("threads: 1", 1), ("threads: 2", 1), ("threads: 8", 7), ("threads: 8\nworkers: 3", 3)])
  func workersFollowThreads(_ text: String, _ workers: Int) throws {
    let layer = try fileLayer(text)
    #expect(layer.problems == [])
    #expect(ServeConfiguration([layer]).workers == workers)
  }

  @Test func listsAreNotAddedUp() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("listen: [unix:/a, unix:/b]\n")
    let environment = ["APUS_LISTEN": "unix:/c, tcp://127.0.0.1:1 ,unix:/d"]
    #expect(
      try ServeConfiguration(file: path, environment: environment).listen
        == [.unix(path: "/c"), .tcp(host: "127.0.0.1", port: 1), .unix(path: "/d")])
    let flags = try Serve.parse(["--listen", "unix:/e,f", "--listen", "unix:/g"]).flags
    #expect(
      try ServeConfiguration(file: path, flags: flags, environment: environment).listen
        == [.unix(path: "/e,f"), .unix(path: "/g")])
  }

  @Test func theVariableNamesTheFileUnlessTheFlagDoes() throws {
    let folder = try TemporaryFolder()
    let one = try folder.file("threads: 11\n", name: "one.yaml")
    let two = try folder.file("threads: 12\n", name: "two.yaml")
    #expect(try ServeConfiguration(file: nil, environment: ["APUS_CONFIG": one]).threads == 11)
    #expect(try ServeConfiguration(file: two, environment: ["APUS_CONFIG": one]).threads == 12)
  }

  @Test func withoutSourcesTheDefaultsHold() throws {
    let configuration = try ServeConfiguration(file: nil, environment: [:])
    #expect(configuration.models == "models")
    #expect(configuration.listen == [.unix(path: defaultSocketPath())])
    #expect((1...256).contains(configuration.threads))
    #expect([0, 50_000].contains(configuration.spinNanoseconds))
    #expect(configuration.socketMode == 0o660 && !configuration.isInsecure)
    #expect(configuration.tls == nil && configuration.policy == nil)
    // A limit that no key names, and one that a key names but the configuration forgets, would differ here.
    #expect("\(configuration.limits)" == "\(Limits())")
  }

  /// Each key's own number arrives in the value that the server is given.
  @Test func everyLimitArrives() throws {
    let layer = try fileLayer(
      """
      limits:
        connections: 11
        in_flight: 12
        body_bytes: 1313
        batch_rows: 14
        queued_calls: 22
        queue_ms: 23
        frame_timeout_ms: 15
        write_timeout_ms: 16
        drain_ms: 17
        slab_bytes: 1818181
        connection_slab_bytes: 1919191
        lanes: 19
        lane_ring_bytes: 20480
        region_bytes: 21
      """)
    #expect(layer.problems == [])
    let limits = ServeConfiguration([layer]).limits
    #expect(limits.connections == 11)
    #expect(limits.callsInFlight == 12)
    #expect(limits.bodyBytes == 1313)
    #expect(limits.batchRows == 14)
    #expect(limits.queuedCalls == 22)
    #expect(limits.queueNanoseconds == 23_000_000)
    #expect(limits.frameTimeoutNanoseconds == 15_000_000)
    #expect(limits.writeTimeoutNanoseconds == 16_000_000)
    #expect(limits.drainNanoseconds == 17_000_000)
    #expect(limits.slabBytes == 1_818_181)
    #expect(limits.connectionSlabBytes == 1_919_191)
    #expect(limits.lanes == 19)
    #expect(limits.laneRingBytes == 20_480)
    #expect(limits.regionBytes == 21)
  }

  @Test func tlsArrives() throws {
    let layer = try fileLayer(
      """
      tls: {cert: /c, key: /k, client_ca: /a, min_version: 1.2, handshakes: 3, handshake_timeout_ms: 4}
      policy: /p
      socket_mode: 0600
      insecure: true
      """)
    #expect(layer.problems == [])
    let configuration = ServeConfiguration([layer])
    #expect(
      configuration.tls
        == ServeConfiguration.TLS(
          certificate: "/c", key: "/k", clientCA: "/a", minimumVersion: "1.2"))
    #expect(configuration.limits.handshakes == 3)
    #expect(configuration.limits.handshakeTimeoutNanoseconds == 4_000_000)
    #expect(configuration.policy == "/p")
    #expect(configuration.socketMode == 0o600 && configuration.isInsecure)
    let short = ServeConfiguration([try fileLayer("tls: {cert: /c, key: /k}")]).tls
    #expect(
      short
        == ServeConfiguration.TLS(
          certificate: "/c", key: "/k", clientCA: nil, minimumVersion: "1.3"))
  }

  @Test func namesFollowOneRule() {
    let keys = ConfigurationKey.allCases
    #expect(Set(keys.map(\.variable)).count == keys.count)
    for key in keys {
      #expect(key.variable == "APUS_" + key.rawValue.uppercased().replacing(".", with: "_"))
      #expect(key.flag.map { $0.hasPrefix("--") } ?? true)
    }
    #expect(ConfigurationKey.sections(in: nil) == ["tls", "store", "signatures", "limits", "log"])
    #expect(ConfigurationKey.sections(in: "log") == ["access"])
  }
}
