import Testing

@testable import ApusCommand

/// Which variables say something, which are left alone, and which are refused.
@Suite struct EnvironmentTests {
  @Test(arguments: [
    "APUS_SERVICE_HOST", "APUS_SERVICE_PORT", "APUS_SERVICE_PORT_RPC", "APUS_SERVICE_PORT_HTTP_METRICS",
    "APUS_PORT", "APUS_PORT_7443_TCP", "APUS_PORT_7443_TCP_PROTO", "APUS_PORT_7443_TCP_PORT",
    "APUS_PORT_7443_TCP_ADDR", "APUS_CANARY_SERVICE_HOST", "APUS_CANARY_SERVICE_PORT",
    "APUS_CANARY_PORT_80_UDP_ADDR", "APUS_BINARY", "APUS_ADDRESS", "APUS_TOKEN_FILE", "APUS_INTERPOSE",
    "APUS_REFRESH_OUTPUT", "APUS_REFRESH_MODEL", "APUS_REFRESH_VERSION",
  ])
  func namesOfOthersAreLeftAlone(_ name: String) throws {
    for text in ["tcp://10.96.0.1:7443", ""] {
      let layer = ConfigurationLayer(environment: [name: text])
      #expect(layer.problems == [] && layer.settings.isEmpty)
    }
  }

  @Test(arguments: [
    ("APUS_TREADS", "APUS_THREADS"), ("APUS_LIMIT_CONNECTIONS", "APUS_LIMITS_CONNECTIONS"),
    ("APUS_CONFIGURE", "APUS_CONFIG"), ("APUS_listen", "APUS_LISTEN"), ("APUS_TLS_CERTS", "APUS_TLS_CERT"),
    ("APUS_PORTLICY", "APUS_POLICY"), ("APUS_LIMITS_BODY_BYTES_", "APUS_LIMITS_BODY_BYTES"),
  ])
  func unknownNamesAreRefusedWithTheNearest(_ name: String, _ nearest: String) {
    let problems = ConfigurationLayer(environment: [name: "1"]).problems
    #expect(problems == ["unknown variable \(name); did you mean \(nearest)?"])
  }

  /// They only look like what Kubernetes sets.
  @Test(arguments: [
    "APUS_", "APUS_SERVICE", "APUS_SERVICE_HOST_X", "APUS_PORTS", "APUS_PORT_X_TCP", "APUS_X",
  ])
  func otherNamesAreRefusedToo(_ name: String) {
    let problems = ConfigurationLayer(environment: [name: "1"]).problems
    #expect(problems.count == 1 && problems[0].hasPrefix("unknown variable \(name); did you mean APUS_"))
  }

  @Test(arguments: ConfigurationKey.allCases)
  func emptyVariablesAreRefused(_ key: ConfigurationKey) {
    let problems = ConfigurationLayer(environment: [key.variable: ""]).problems
    #expect(problems.count == 1)
    #expect(problems[0].hasPrefix("\(key.variable) is "))
  }

  @Test func anEmptyFileNameIsRefused() throws {
    #expect(
      try refusal(environment: ["APUS_CONFIG": ""])
        == "APUS_CONFIG is empty; it must be the path of a file")
  }

  @Test func severalProblemsComeInTheOrderOfTheirNames() {
    let layer = ConfigurationLayer(environment: [
      "APUS_THREADS": "no", "APUS_INSECURE": "1", "APUS_MODELS": "m", "APUS_LISTEN": "unix:/a,,unix:/b",
    ])
    #expect(
      layer.problems == [
        "APUS_INSECURE must be true or false, not 1",
        "APUS_LISTEN is wrong: '' is no address; write unix:PATH, tcp://HOST:PORT or tls://HOST:PORT",
        "APUS_THREADS must be a number from 1 to 256, not no",
      ])
    #expect(layer.settings.keys.map { $0 } == [.models])
  }
}
