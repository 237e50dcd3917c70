import ApusBase
import ApusIO
import ApusLog
import ApusWire
import CLinux

/// Every key of the configuration, by its name in `apus.yaml`: a dot stands for a level.
enum ConfigurationKey: String, CaseIterable, Sendable {
  case listen
  case http
  case models
  case defaultModel = "default_model"
  case planCache = "plan_cache"
  case threads
  case workers
  case httpThreads = "http_threads"
  case spinMicroseconds = "spin_us"
  case insecure
  case socketMode = "socket_mode"
  case tlsCertificate = "tls.cert"
  case tlsKey = "tls.key"
  case tlsClientCA = "tls.client_ca"
  case tlsMinimumVersion = "tls.min_version"
  case tlsHandshakes = "tls.handshakes"
  case tlsHandshakeTimeout = "tls.handshake_timeout_ms"
  case storeCache = "store.cache"
  case storeInterval = "store.interval"
  case storeEndpoint = "store.endpoint"
  case storeRegion = "store.region"
  case storeCA = "store.ca"
  case policy
  case trustedKeys = "signatures.keys"
  case requireSignatures = "signatures.required"
  case connections = "limits.connections"
  case inFlight = "limits.in_flight"
  case bodyBytes = "limits.body_bytes"
  case batchRows = "limits.batch_rows"
  case queuedCalls = "limits.queued_calls"
  case queueTime = "limits.queue_ms"
  case frameTimeout = "limits.frame_timeout_ms"
  case writeTimeout = "limits.write_timeout_ms"
  case drain = "limits.drain_ms"
  case slabBytes = "limits.slab_bytes"
  case connectionSlabBytes = "limits.connection_slab_bytes"
  case lanes = "limits.lanes"
  case laneRingBytes = "limits.lane_ring_bytes"
  case regionBytes = "limits.region_bytes"
  case logFormat = "log.format"
  case logLevel = "log.level"
  case logSlow = "log.slow_ms"
  case accessPath = "log.access.path"
  case accessPerSecond = "log.access.max_per_second"

  /// `APUS_TLS_CERT` for `tls.cert`.
  var variable: String {
    "APUS_" + String(rawValue.map { $0 == "." ? "_" : $0 }).uppercased()
  }

  /// The flag of `apus serve`, if it has one.
  var flag: String? {
    switch self {
    case .listen, .http, .models, .threads, .workers, .insecure, .policy: "--" + rawValue
    case .spinMicroseconds: "--spin-us"
    case .tlsCertificate: "--tls-cert"
    case .tlsKey: "--tls-key"
    case .tlsClientCA: "--tls-client-ca"
    case .logFormat: "--log-format"
    case .logLevel: "--log-level"
    default: nil
    }
  }

  /// The map of the file that holds it, dots between the levels, and its name there; nil: the file's own map.
  var section: String? { rawValue.lastIndex(of: ".").map { String(rawValue[..<$0]) } }
  var lastName: String { rawValue.split(separator: ".").last.map(String.init) ?? rawValue }
}

/// What a key takes, what holds without it, and what it is for.
struct ConfigurationRow {
  let form: ConfigurationForm
  /// nil: none.
  let standard: ConfigurationValue?
  /// What the standard depends on, where it is not the same everywhere.
  var standardRule: String?
  let help: String

  init(_ form: ConfigurationForm, _ standard: ConfigurationValue?, rule: String? = nil, _ help: String) {
    self.form = form
    self.standard = standard
    standardRule = rule
    self.help = help
  }
}

extension ConfigurationKey {
  /// The table of all keys: the file, the environment, the flags, what is printed and the documentation
  /// follow it.
  var row: ConfigurationRow {
    let limits = Limits()
    return switch self {
    case .listen:
      Row(
        .addresses, .addresses([.unix(path: defaultSocketPath())]),
        rule: "`apus.sock` in `$XDG_RUNTIME_DIR`, else in `/run` if that is writable, else a file in `/tmp`",
        "Where to listen; a list, or one text. In the variable, commas stand between them.")
    case .http:
      Row(
        .httpAddresses, nil,
        "Where to serve HTTP: `HOST:PORT`, or `https://HOST:PORT` with the certificate; a list, or one text.")
    case .models:
      Row(
        .repository, .path("models"),
        "The folder with the models, or a store of them: `s3://BUCKET/PREFIX` or a web server's URL.")
    case .planCache:
      Row(
        .madeFolder, nil,
        "Where the measured times of kernels are kept, so that the next start need not measure. Without it "
          + "`$XDG_CACHE_HOME/apus`, else `/var/cache/apus` if that is writable, else `~/.cache/apus`.")
    case .storeCache:
      Row(
        .madeFolder, nil,
        "Where models from a store are kept. Without it a folder under `$XDG_CACHE_HOME/apus`, else under "
          + "`/var/cache/apus` if that is writable, else under `~/.cache/apus`.")
    case .storeInterval:
      Row(.number(1...86_400), .number(10), "Time between two looks at the store, in seconds, more or less.")
    case .storeEndpoint:
      Row(.url, nil, "Another S3 than Amazon's. Without it `$AWS_ENDPOINT_URL_S3`, `$AWS_ENDPOINT_URL`.")
    case .storeRegion:
      Row(.name, nil, "The region of S3. Without it `$AWS_REGION`, `$AWS_DEFAULT_REGION`, `us-east-1`.")
    case .storeCA:
      Row(
        .file, nil, "Certificates of those who may sign the store's, in PEM. Without it, the system's.")
    case .defaultModel:
      Row(
        .name, nil,
        "The model of `POST /classify`, which names none. Without it, the only one that there is.")
    case .httpThreads:
      Row(.number(1...256), .number(1), "Threads that serve HTTP, and compute what comes by it.")
    case .threads:
      Row(
        .number(1...256), .number(processors), rule: "one for each processor",
        "Threads that serve and compute.")
    case .workers:
      Row(
        .number(1...256), .workers(besides: processors), rule: "one less than `threads`, one at least",
        "Threads that compute models whose calls take over 200 µs, so that no other call waits behind them.")
    case .spinMicroseconds:
      Row(
        .number(0...1_000_000), .number(clinux_processors() > 1 ? 50 : 0),
        rule: "50, and 0 with only one processor",
        "Longest time to poll for the next call before sleeping, in microseconds; 0 turns polling off.")
    case .insecure:
      Row(
        .truth, .truth(false),
        "Allow addresses that other machines can reach without encryption, or that are open to all of them.")
    case .socketMode: Row(.mode, .mode(0o660), "Mode bits of the socket files.")
    case .tlsCertificate:
      Row(.file, nil, "The server's certificate and those that sign it, in PEM; needs `tls.key`.")
    case .tlsKey: Row(.file, nil, "The private key of the certificate, in PEM.")
    case .tlsClientCA:
      Row(
        .file, nil,
        "Certificates of those who may sign clients' certificates, in PEM; then every client must show one.")
    case .tlsMinimumVersion: Row(.choice(["1.2", "1.3"]), .text("1.3"), "The lowest version of TLS.")
    case .tlsHandshakes: Row(.number(1...65_536), .number(256), "TLS handshakes under way at one time.")
    case .tlsHandshakeTimeout:
      Row(
        .number(1...600_000), .number(10_000),
        "A TLS handshake must be complete within this time, in milliseconds, and a caller must have said "
          + "who it is where a policy asks.")
    case .policy: Row(.file, nil, "Who may do what: a policy file.")
    case .trustedKeys:
      Row(
        .folder, nil,
        "A folder with the public keys (`NAME.pem`) whose signatures of models count.")
    case .requireSignatures:
      Row(
        .truth, .truth(false),
        "Serve no version that none of these keys has signed; needs `signatures.keys`.")
    case .connections:
      Row(.number(1...1_000_000), .number(limits.connections), "Connections that the server holds.")
    case .inFlight:
      Row(
        .number(1...65_536), .number(limits.callsInFlight),
        "Calls that one connection may have in flight; further ones wait in the socket.")
    case .bodyBytes:
      Row(.number(1024...1 << 30), .number(limits.bodyBytes), "Longest body of one call, in bytes.")
    case .batchRows:
      Row(.number(1...65_536), .number(limits.batchRows), "Rows that are computed together at most.")
    case .queuedCalls:
      Row(
        .number(1...65_536), .number(limits.queuedCalls),
        "Calls of a thread's connections that may wait to be computed.")
    case .queueTime:
      Row(
        .number(1...60_000), .milliseconds(limits.queueNanoseconds),
        "Longest time that a call without a deadline is let in to wait, as predicted, in milliseconds.")
    case .frameTimeout:
      Row(
        .number(1...3_600_000), .milliseconds(limits.frameTimeoutNanoseconds),
        "A frame that has begun must be whole within this time, in milliseconds.")
    case .writeTimeout:
      Row(
        .number(1...3_600_000), .milliseconds(limits.writeTimeoutNanoseconds),
        "A client that does not read its answers for so long is closed, in milliseconds.")
    case .drain:
      Row(
        .number(0...3_600_000), .milliseconds(limits.drainNanoseconds),
        "Time for running calls after SIGTERM, in milliseconds.")
    case .slabBytes:
      Row(
        .number(1 << 20...1 << 40), .number(limits.slabBytes),
        "Bytes of all large calls and answers that the server holds at one time.")
    case .connectionSlabBytes:
      Row(
        .number(1 << 20...1 << 40), .number(limits.connectionSlabBytes),
        "Bytes of the large calls and answers that it holds at one time for one connection.")
    case .lanes:
      Row(
        .number(0...65_536), .number(limits.lanes),
        "Lanes in shared memory that the server holds; 0: it opens none.")
    case .laneRingBytes:
      Row(
        .number(LaneLayout.leastRingBytes...LaneLayout.mostRingBytes), .number(limits.laneRingBytes),
        "Longest ring of a lane, in bytes; a lane has two, and 4 KiB beside them.")
    case .regionBytes:
      Row(
        .number(0...1 << 40), .number(limits.regionBytes),
        "Bytes of all memory that one lane's client may share for its tensors.")
    case .logFormat:
      Row(
        .choice(["json", "text", "auto"]), .text("auto"),
        "How the server's own lines are written; `auto` is text on a terminal and JSON elsewhere.")
    case .logLevel:
      Row(
        .choice(LogLevel.choices.map(\.name)), .text("info"),
        "Lines of this level and above are written; SIGHUP reads it again, SIGUSR1 and SIGUSR2 change it.")
    case .logSlow:
      Row(
        .number(0...3_600_000), .number(0),
        "Calls that take longer, in milliseconds, are logged as warnings; 0: none is slow.")
    case .accessPath:
      Row(.output, nil, "The access log, a line for each call; without it calls are not logged.")
    case .accessPerSecond:
      Row(
        .number(1...1_000_000), .number(10_000),
        "Lines of the access log a second at most; calls beyond are counted.")
    }
  }

  private typealias Row = ConfigurationRow

  var form: ConfigurationForm { row.form }
}

/// As many as there may be threads.
private var processors: Int { min(max(Int(clinux_processors()), 1), 256) }

extension ConfigurationValue {
  /// What `workers` is where nothing says it.
  static func workers(besides threads: Int) -> Self { .number(max(1, threads - 1)) }

  fileprivate static func milliseconds(_ nanoseconds: UInt64) -> Self {
    .number(Int(nanoseconds / 1_000_000))
  }
}
