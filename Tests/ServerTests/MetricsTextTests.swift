import ApusMetrics
import Foundation
import Testing

@testable import ApusServer

/// The text as a whole: its grammar, its size, its documentation.
@Suite(.timeLimit(.minutes(15))) struct MetricsTextTests {
  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private func served(_ models: [ServedModel], calling names: [String]) throws -> MetricsServer {
    let server = try MetricsServer(models)
    let connection = try RawConnection(server.address)
    for (index, name) in names.enumerated() {
      try server.exchange([classifyFrame(UInt64(index + 1), name, [1, 2, 3, 4])], connection)
    }
    connection.close()
    let isClosed = try waitUntil(seconds: 30) {
      try server.metrics().number("apus_open_connections", ["transport": "unix"]) == 0
    }
    try #require(isClosed)
    return server
  }

  @Test(arguments: MetricsFormat.allCases)
  func everyMetricIsThereAsTheTableSays(_ format: MetricsFormat) throws {
    let server = try served([MetricsServer.model("m")], calling: ["m"])
    let metrics = try server.metrics(format)
    // It is absent without TLS.
    let expected = Metric.allCases.filter { $0 != .certificateExpiry }
    #expect(metrics.families.count == expected.count)
    let onlyWhereDecided: Set<Metric> = [
      .modelDeprecated, .modelTraffic, .shadowRows, .shadowDisagreements, .shadowDropped,
      .driftClasses, .driftLargestInput, .driftRows,
    ]
    for metric in expected {
      let row = metric.row
      let name = format == .openMetrics ? row.family.openMetricsName : row.family.name
      let family = try #require(metrics.families[name], "\(name)")
      #expect(family.help == row.family.help)
      if format == .openMetrics {
        #expect(family.unit == row.family.unit)
        #expect(family.kind == row.family.kind.rawValue)
        #expect(row.family.unit.isEmpty || name.hasSuffix("_" + row.family.unit))
      }
      let sampleName = row.family.kind == .histogram ? row.family.name + "_count" : row.family.name
      let samples = metrics.all(sampleName)
      #expect(!samples.isEmpty || onlyWhereDecided.contains(metric), "\(name)")
      for sample in samples { #expect(Set(sample.labels.keys) == Set(row.labels), "\(name)") }
    }
  }

  /// No sample's name may belong to two families: OpenMetrics, section "MetricFamily".
  @Test func namesDoNotClash() {
    var owners: [String: String] = [:]
    for metric in Metric.allCases {
      let name = metric.row.family.openMetricsName
      for suffix in ["", "_total", "_created", "_bucket", "_sum", "_count", "_info"] {
        let other = owners.updateValue(name, forKey: name + suffix)
        #expect(other == nil, "\(name)\(suffix) is \(other ?? "")'s, too")
      }
    }
  }

  @Test func bothFormatsTellTheSame() throws {
    let server = try served([MetricsServer.model("a"), MetricsServer.model("b")], calling: ["a", "a", "b"])
    let prometheus = try server.metrics(.prometheus)
    let openMetrics = try server.metrics(.openMetrics)
    #expect(prometheus.samples == openMetrics.samples)
    for sample in prometheus.samples where !sample.name.hasPrefix("process_") {
      // These go on while nobody calls.
      if ["polls", "polling", "sleeps", "asleep", "system"].contains(where: { sample.name.contains($0) }) {
        continue
      }
      #expect(prometheus.values[sample] == openMetrics.values[sample], "\(sample)")
    }
  }

  @Test func modelsOfAnyNameAreReadBack() throws {
    let names = ["we\"ird", "back\\slash", "line\nfeed", "\\n", "gr\u{FC}n {x=\"y\"}", "caf\u{E9},le=\"1\""]
    let server = try served(try names.map { try MetricsServer.model($0) }, calling: names)
    for format in MetricsFormat.allCases {
      let metrics = try server.metrics(format)
      for name in names {
        let labels = ["model": name, "version": "1", "code": "OK"]
        #expect(metrics.number("model_requests_total", labels) == 1, "\(name)")
        #expect(metrics.all("apus_batch_rows_bucket", ["model": name]).count == 18)
      }
    }
  }

  /// What one version of a model adds: three lines, and 145 once it has been called. The rest does not grow.
  @Test func theTextGrowsWithModelsThatAreCalledAlone() throws {
    let names = (1...100).map { "model-\($0)" }
    let models = try names.map { try MetricsServer.model($0) }
    let server = try served(models, calling: [])
    // Reading back so much takes a debug build a minute, so lines are counted as they are.
    func lines() -> (models: Int, others: Int) {
      let text = server.server.metrics(.prometheus)
      #expect(text.count < 2 << 20)
      let data = Data(text)
      let models = count("model=\"model-", data)
      return (models, count("\n", data) - count("# ", data) - models)
    }
    func count(_ word: String, _ data: Data) -> Int {
      var found = 0
      var from = data.startIndex
      while let range = data.range(of: Data(word.utf8), in: from..<data.endIndex) {
        found += 1
        from = range.upperBound
      }
      return found
    }
    let before = lines()
    #expect(before.models == 100 * 4 && before.others < 160)
    let connection = try RawConnection(server.address)
    for (index, name) in names.enumerated() {
      try server.exchange([classifyFrame(UInt64(index + 1), name, [1, 2, 3, 4])], connection)
    }
    let after = lines()
    #expect(after.models == 100 * (4 + 5 * (23 + 2) + 18 + 2) && after.others == before.others)
  }

  // MARK: Held to the sources

  /// A reason that is not in the list would be counted as OTHER.
  @Test func everyReasonIsKnown() throws {
    var found: Set<String> = ["OTHER"]
    // Of HTTP those that refuse calls of models.
    let other: Set = [
      "DRAINING", "HOST_MISSING", "HTTP", "INTERNAL", "METHOD_NOT_ALLOWED", "PATH_NOT_FOUND",
    ]
    for folder in ["Sources/ApusServer", "Sources/ApusWire", "Sources/ApusGateway", "Sources/ApusJSON"] {
      let files = try FileManager.default.subpathsOfDirectory(
        atPath: Self.root.appendingPathComponent(folder).path
      ).map { Self.root.appendingPathComponent(folder).appendingPathComponent($0) }
      for file in files
      where file.pathExtension == "swift" && !file.lastPathComponent.hasSuffix("+Client.swift") {
        let text = try String(contentsOf: file, encoding: .utf8)
        let reasons = text.matches(
          of: /(?:Status\(\s*|badRequest\(\s*|Problem\(\s*\.\w+,\s*)(?:\.[a-z]\w*,\s*)?"([A-Z0-9_]+)"/)
        found.formUnion(reasons.map { String($0.1) })
      }
    }
    found.subtract(other)
    #expect(found.count > 30)
    let counted = Set(RefusalReason.all)
    #expect(counted.count == RefusalReason.all.count)
    for reason in found.subtracting(counted) { Issue.record("add \(reason) to RefusalReason.swift") }
    for reason in counted.subtracting(found) { Issue.record("\(reason) stands nowhere; take it out") }
    #expect(RefusalReason.all[RefusalReason.index(of: "RATE_LIMIT")] == "RATE_LIMIT")
    #expect(RefusalReason.all[RefusalReason.index(of: "NOBODY_KNOWS")] == "OTHER")
  }

  @Test func theDocumentedTableIsTheTableOfMetrics() throws {
    var lines = ["| name | type | labels | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for metric in Metric.allCases {
      let family = metric.row.family
      let labels = metric.row.labels.map { "`\($0)`" }.joined(separator: ", ")
      lines.append("| `\(family.name)` | \(family.kind) | \(labels) | \(family.unit) | \(family.help) |")
    }
    let table = lines.joined(separator: "\n") + "\n"
    let document = try String(
      contentsOf: Self.root.appendingPathComponent("docs/metrics.md"), encoding: .utf8)
    let begin = "<!-- metrics: made from Sources/ApusServer/Metric.swift; a test keeps it so -->\n"
    let from = try #require(document.range(of: begin)).upperBound
    let to = try #require(document.range(of: "<!-- end of metrics -->")).lowerBound
    #expect(String(document[from..<to]) == table, "put this table into docs/metrics.md:\n\(table)")
    for stage in Stage.allCases { #expect(document.contains("`\(stage)`"), "\(stage) is not explained") }
  }
}
