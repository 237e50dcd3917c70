import ArgumentParser
import Foundation
import Testing

@testable import ApusCommand

/// The documentation and the example say what the table of keys says.
@Suite struct DocumentationTests {
  private func text(_ path: String) throws -> String {
    try String(contentsOf: projectFolder.appendingPathComponent(path), encoding: .utf8)
  }

  /// The table of docs/configuration.md.
  private var table: String {
    var lines = [
      "| key | variable | flag | takes | default | meaning |", "| --- | --- | --- | --- | --- | --- |",
    ]
    for key in ConfigurationKey.allCases {
      let row = key.row
      let standard = row.standardRule ?? row.standard.map { "`\($0.yaml)`" } ?? "none"
      let flag = key.flag.map { "`\($0)`" } ?? ""
      lines.append(
        "| `\(key.rawValue)` | `\(key.variable)` | \(flag) | \(key.form.summary) | \(standard) "
          + "| \(row.help) |"
      )
    }
    return lines.joined(separator: "\n") + "\n"
  }

  @Test func theDocumentedTableIsTheTableOfKeys() throws {
    let document = try text("docs/configuration.md")
    let begin = "<!-- keys: made from Sources/ApusCommand/ConfigurationKey.swift; a test keeps it so -->\n"
    let from = try #require(document.range(of: begin)).upperBound
    let to = try #require(document.range(of: "<!-- end of keys -->")).lowerBound
    let documented = String(document[from..<to])
    #expect(documented == table, "put this table into docs/configuration.md:\n\(table)")
    #expect(document.contains(ConfigurationLayer.fileVariable))
  }

  @Test func theExampleHasEveryKeyAndTellsTheDefaults() throws {
    let path = projectFolder.appendingPathComponent("deploy/apus.yaml").path
    let layer = ConfigurationLayer(file: path)
    #expect(layer.problems == [])
    let configuration = ServeConfiguration([layer])
    #expect(configuration.contradictions == [])
    let perHost: Set<ConfigurationKey> = [.listen, .models, .threads, .workers, .spinMicroseconds]
    for key in ConfigurationKey.allCases {
      #expect(configuration[key].origin != .standard, "\(key.rawValue) is not in deploy/apus.yaml")
      if let standard = key.row.standard, !perHost.contains(key) {
        #expect(configuration[key].value == standard, "\(key.rawValue)")
      }
    }
    #expect(configuration.models.hasSuffix("/deploy/models"))
  }

  /// Every key that has a flag can be given by it, and `apus serve` has no other flags than these and
  /// `--config`.
  @Test func everyFlagIsAFlagOfServe() throws {
    let help = Serve.helpMessage(columns: 1000)
    let options = Set(
      help.split(whereSeparator: { !$0.isLetter && $0 != "-" }).map(String.init)
        .filter { $0.hasPrefix("--") && $0.count > 2 })
    let flags = Set(ConfigurationKey.allCases.compactMap(\.flag))
    #expect(options == flags.union(["--config", "--help"]))
    for key in ConfigurationKey.allCases where key.flag != nil {
      let layer = try flagLayer(key.arguments(key.samples[2]))
      #expect(layer.problems == [] && layer.settings.map(\.key) == [key])
    }
  }
}
