import ApusIO
import ApusJSON
import Foundation
import Testing

@testable import ApusCommand

/// What `config print` writes reads back as the same configuration.
@Suite struct PrintingTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  /// The configuration of a printed text.
  private func readBack(_ text: String) throws -> ServeConfiguration {
    let layer = try fileLayer(text)
    #expect(layer.problems == [], "\(text)")
    return ServeConfiguration([layer])
  }

  @Test(arguments: ConfigurationKey.allCases)
  func everyValueReadsBack(_ key: ConfigurationKey) throws {
    for text in key.samples {
      let configuration = ServeConfiguration([try fileLayer(key.yaml(text))])
      #expect(configuration[key].origin != .standard)
      let read = try readBack(configuration.yaml)
      #expect(read[key].value == configuration[key].value)
      for other in ConfigurationKey.allCases where other != key && other != .models {
        #expect(read[other].value == configuration[other].value, "\(other)")
      }
    }
  }

  @Test(arguments: [
    "a b", "#a", "a: b", "a #b", "\"", "\\", "'", "\u{1}\t\n\r\u{7F}\u{85}", "\u{2028}\u{FEFF}\u{202E}",
    "größe/模型", "😀e\u{301}", "- a", "~", "*a", "&a", "%TAG", "yes", "$HOME",
    "\u{E000}\u{10FFFF}\u{FFFE}",
  ])
  func anyPathReadsBack(_ name: String) throws {
    let configuration = ServeConfiguration([
      ConfigurationLayer(environment: ["APUS_POLICY": "/x/" + name, "APUS_LISTEN": "unix:/" + name])
    ])
    #expect(configuration.policy == "/x/" + name)
    let text = configuration.yaml
    let read = try readBack(text)
    #expect(read.policy?.unicodeScalars.elementsEqual(("/x/" + name).unicodeScalars) == true)
    #expect(read.listen == [.unix(path: "/" + name)])
    let lines = ConfigurationKey.allCases.count + Set(ConfigurationKey.allCases.compactMap(\.section)).count
    #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count == lines + 1)
    // What a terminal would act upon, or hide.
    let acting: [Unicode.GeneralCategory] = [.control, .format, .lineSeparator, .paragraphSeparator]
    #expect(!text.unicodeScalars.contains { $0 != "\n" && acting.contains($0.properties.generalCategory) })
  }

  @Test func everyLineSaysWhereItsValueComesFrom() throws {
    let path = try folder.file(
      """
      listen: [unix:s, tcp://127.0.0.1:7070]
      models: m
      tls:
        cert: c.pem
        key: k.pem
      """)
    let configuration = try ServeConfiguration(
      file: path, flags: [(.threads, ["3"])],
      environment: ["APUS_LIMITS_DRAIN_MS": "5", "APUS_SPIN_US": "7"])
    let base = folder.path
    #expect(
      configuration.yaml == """
        listen: ["unix:\(base)s", "tcp://127.0.0.1:7070"]  # \(path) line 1
        # http: not set
        models: "\(base)m"  # \(path) line 2
        # default_model: not set
        # plan_cache: not set
        threads: 3  # --threads
        workers: 2  # default
        http_threads: 1  # default
        spin_us: 7  # APUS_SPIN_US
        insecure: false  # default
        socket_mode: "0660"  # default
        tls:
          cert: "\(base)c.pem"  # \(path) line 4
          key: "\(base)k.pem"  # \(path) line 5
          # client_ca: not set
          min_version: "1.3"  # default
          handshakes: 256  # default
          handshake_timeout_ms: 10000  # default
        store:
          # cache: not set
          interval: 10  # default
          # endpoint: not set
          # region: not set
          # ca: not set
        # policy: not set
        signatures:
          # keys: not set
          required: false  # default
        limits:
          connections: 16384  # default
          in_flight: 1024  # default
          body_bytes: 67108864  # default
          batch_rows: 65536  # default
          queued_calls: 4096  # default
          queue_ms: 1000  # default
          frame_timeout_ms: 10000  # default
          write_timeout_ms: 30000  # default
          drain_ms: 5  # APUS_LIMITS_DRAIN_MS
          slab_bytes: 268435456  # default
          connection_slab_bytes: 135266304  # default
          lanes: 256  # default
          lane_ring_bytes: 1048576  # default
          region_bytes: 1073741824  # default
        log:
          format: "auto"  # default
          level: "info"  # default
          slow_ms: 0  # default
          access:
            # path: not set
            max_per_second: 10000  # default

        """)
  }

  @Test func theCommandPrintsAFileThatCanBeGivenAgain() throws {
    let path = try folder.file("models: m\nthreads: 3\n", name: "a\tb.yaml")
    let first = try Run(
      ["config", "print", "--config", "a\tb.yaml"], environment: ["APUS_POLICY": "p"], folder: folder.path)
    #expect(first.status == 0 && first.errors.isEmpty, "\(first)")
    #expect(first.output.contains("\nthreads: 3  # a\\tb.yaml line 2\n"))
    let real = try #require(realpath(folder.path, nil).map { String(cString: $0) })
    #expect(first.output.contains("models: \"\(real)/m\""))
    #expect(first.output.contains("policy: \"\(real)/p\"  # APUS_POLICY"))
    let printed = try folder.file(first.output, name: "printed.yaml")
    let second = try Run(["config", "print", "--json"], environment: ["APUS_CONFIG": printed])
    let again = try Run(
      ["config", "print", "--json", "--config", path],
      environment: ["APUS_POLICY": folder.path + "p"])
    let configurations = try [second, again].map { run in
      let json = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any]
      return try #require(json?["configuration"] as? NSDictionary)
    }
    let topLevel = ConfigurationKey.allCases.filter { $0.section == nil }.count
    #expect(configurations[0].count == topLevel + ConfigurationKey.sections(in: nil).count)
    #expect((configurations[0]["policy"] as? String)?.hasSuffix("/p") == true)
    for key in ["threads", "spin_us", "insecure", "socket_mode", "listen", "tls", "limits", "log"] {
      #expect(configurations[0][key] as? NSObject == configurations[1][key] as? NSObject, "\(key)")
    }
  }

  @Test func jsonHasEveryKeyAndItsSource() throws {
    let configuration = try ServeConfiguration(
      file: nil, flags: [(.insecure, ["true"])], environment: ["APUS_SOCKET_MODE": "600"])
    let data = Data(configuration.json.description.utf8)
    let document = try #require(try JSONSerialization.jsonObject(with: data) as? [String: NSDictionary])
    let (values, sources) = (try #require(document["configuration"]), try #require(document["sources"]))
    #expect(sources.count == ConfigurationKey.allCases.count && document.count == 2)
    for key in ConfigurationKey.allCases {
      let maps = key.section?.split(separator: ".").map(String.init) ?? []
      let map = maps.reduce(values as NSDictionary?) { $0?[$1] as? NSDictionary }
      #expect(map?[key.lastName] != nil, "\(key)")
      let expected = key == .insecure ? "--insecure" : key == .socketMode ? "APUS_SOCKET_MODE" : "default"
      #expect(sources[key.rawValue] as? String == expected)
    }
    #expect(values["insecure"] as? Bool == true && values["socket_mode"] as? String == "0600")
    #expect(values["policy"] is NSNull)
    #expect((values["limits"] as? NSDictionary)?["in_flight"] as? Int == 1024)
  }

  @Test func aWrongConfigurationIsNotPrinted() throws {
    let run = try Run(["config", "print"], environment: ["APUS_THREADS": "0"])
    #expect(run.status == 2 && run.output.isEmpty)
    #expect(run.errors == "apus: APUS_THREADS must be a number from 1 to 256, not 0\n")
  }
}
