import ApusBase
import ApusIO
import ApusLog

/// What `apus serve` is told by flags, the environment and the file, in this order of precedence, and where
/// each value comes from.
struct ServeConfiguration: Sendable {
  private var settings: [ConfigurationKey: ConfigurationSetting] = [:]

  /// - Parameter layers: later ones stand over earlier ones, and all of them over the defaults.
  init(_ layers: [ConfigurationLayer] = []) {
    for key in ConfigurationKey.allCases {
      settings[key] = ConfigurationSetting(value: key.row.standard, origin: .standard)
    }
    for layer in layers { settings.merge(layer.settings) { _, later in later } }
    if self[.workers].origin == .standard {
      settings[.workers] = ConfigurationSetting(value: .workers(besides: threads), origin: .standard)
    }
  }

  subscript(key: ConfigurationKey) -> ConfigurationSetting {
    settings[key] ?? ConfigurationSetting(value: nil, origin: .standard)
  }

  /// Keeps the origin: what is wrong is said of whoever gave the addresses.
  mutating func setListen(_ addresses: [Address]) {
    settings[.listen] = ConfigurationSetting(value: .addresses(addresses), origin: self[.listen].origin)
  }
}

// MARK: The values

extension ServeConfiguration {
  /// How the server speaks TLS.
  struct TLS: Equatable, Sendable {
    /// Files in PEM.
    var certificate: String
    var key: String
    /// Then every client must show a certificate that one of these signed.
    var clientCA: String?
    /// `1.2` or `1.3`.
    var minimumVersion: String
  }

  var listen: [Address] {
    if case .addresses(let addresses) = self[.listen].value { addresses } else { [] }
  }
  /// Where HTTP is served; nowhere unless it is asked for.
  var http: [Address] {
    if case .httpAddresses(let addresses) = self[.http].value { addresses } else { [] }
  }
  var httpThreads: Int { number(.httpThreads) }
  /// The model of a call that names none.
  var defaultModel: String? {
    if case .text(let name) = self[.defaultModel].value { name } else { nil }
  }
  /// The folder with the models, where they are in no store.
  var models: String { path(.models) ?? "models" }
  /// Where measured times of kernels are kept; nil: where such things are kept.
  var planCache: String? { path(.planCache) }
  /// nil: the models lie in a folder of this machine.
  var store: Store? {
    text(.models).map { url in
      Store(
        url: url, cache: path(.storeCache), intervalSeconds: number(.storeInterval),
        endpoint: text(.storeEndpoint), region: text(.storeRegion), certificates: path(.storeCA))
    }
  }
  var threads: Int { number(.threads) }
  /// Threads that compute slow models beside them.
  var workers: Int { number(.workers) }
  var spinNanoseconds: UInt64 { UInt64(number(.spinMicroseconds)) * 1000 }
  var isInsecure: Bool { self[.insecure].value == .truth(true) }
  /// Mode bits of the socket files.
  var socketMode: UInt32 {
    if case .mode(let bits) = self[.socketMode].value { bits } else { 0o600 }
  }

  /// nil: there is no certificate.
  var tls: TLS? {
    guard let certificate = path(.tlsCertificate), let key = path(.tlsKey),
      case .text(let minimumVersion) = self[.tlsMinimumVersion].value
    else { return nil }
    return TLS(
      certificate: certificate, key: key, clientCA: path(.tlsClientCA), minimumVersion: minimumVersion)
  }

  /// `auto`, `json` or `text`.
  var logFormat: String { text(.logFormat) ?? "auto" }
  var logLevel: LogLevel { text(.logLevel).flatMap { LogLevel(name: $0) } ?? .info }

  /// What is logged of each call.
  var accessLog: AccessLog.Settings {
    var settings = AccessLog.Settings()
    settings.path = path(.accessPath)
    settings.maximumPerSecond = number(.accessPerSecond)
    settings.slowNanoseconds = nanoseconds(.logSlow)
    return settings
  }

  /// The folder with the keys whose signatures of models count, if there is one.
  var trustedKeys: String? { path(.trustedKeys) }
  var requiresSignatures: Bool { self[.requireSignatures].value == .truth(true) }

  /// The policy file, if there is one.
  var policy: String? { path(.policy) }

  var limits: Limits {
    var limits = Limits()
    limits.connections = number(.connections)
    limits.callsInFlight = number(.inFlight)
    limits.bodyBytes = number(.bodyBytes)
    limits.batchRows = number(.batchRows)
    limits.queuedCalls = number(.queuedCalls)
    limits.queueNanoseconds = nanoseconds(.queueTime)
    limits.frameTimeoutNanoseconds = nanoseconds(.frameTimeout)
    limits.writeTimeoutNanoseconds = nanoseconds(.writeTimeout)
    limits.drainNanoseconds = nanoseconds(.drain)
    limits.slabBytes = number(.slabBytes)
    limits.connectionSlabBytes = number(.connectionSlabBytes)
    limits.lanes = number(.lanes)
    limits.laneRingBytes = number(.laneRingBytes)
    limits.regionBytes = number(.regionBytes)
    limits.handshakes = number(.tlsHandshakes)
    limits.handshakeTimeoutNanoseconds = nanoseconds(.tlsHandshakeTimeout)
    return limits
  }

  private func path(_ key: ConfigurationKey) -> String? {
    if case .path(let path) = self[key].value { path } else { nil }
  }

  private func text(_ key: ConfigurationKey) -> String? {
    if case .text(let text) = self[key].value { text } else { nil }
  }

  private func number(_ key: ConfigurationKey) -> Int {
    if case .number(let number) = self[key].value { number } else { 0 }
  }

  /// Of a key in milliseconds.
  private func nanoseconds(_ key: ConfigurationKey) -> UInt64 { UInt64(number(key)) * 1_000_000 }
}

// MARK: Loading

/// Why there is no configuration, in one line.
struct ConfigurationError: Error, Equatable, CustomStringConvertible {
  let description: String
}

extension ServeConfiguration {
  /// Reads all sources. Without a file, nothing of YAML runs.
  ///
  /// - Parameters:
  ///   - file: what `--config` names; else the environment may name one.
  ///   - environment: the variables whose names begin with `APUS_`.
  init(
    file: String?, flags: [(key: ConfigurationKey, texts: [String])] = [], environment: [String: String]
  ) throws(ConfigurationError) {
    let flagLayer = ConfigurationLayer(flags: flags)
    let environmentLayer = ConfigurationLayer(environment: environment)
    if let problem = flagLayer.problems.first ?? environmentLayer.problems.first {
      throw ConfigurationError(description: problem)
    }
    let path = file ?? environment[ConfigurationLayer.fileVariable]
    let fileLayer = path.map { ConfigurationLayer(file: $0) } ?? ConfigurationLayer()
    if let problem = fileLayer.problems.first {
      let others = fileLayer.problems.count - 1
      let hint = others == 0 ? "" : " (and \(others) more, which `apus config check` lists)"
      throw ConfigurationError(description: problem + hint)
    }
    self.init([fileLayer, environmentLayer, flagLayer])
    if let problem = contradictions.first { throw ConfigurationError(description: problem) }
  }
}
