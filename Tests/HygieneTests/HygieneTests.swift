import Foundation
import Testing

/// The shape of the sources, kept by tests: what a module may import, how long lines and files are, and which
/// words stay out.
@Suite struct HygieneTests {
  /// Modules by layer: each may import what its line names, and C libraries only where they are named. It is
  /// the module map of ARCHITECTURE.md; a new module needs a line here.
  private static let mayImport: [String: Set<String>] = [
    "ApusBase": ["CLinux"],
    "ApusWire": ["ApusBase", "CApusProto"],
    "ApusIO": ["ApusBase", "CLinux"],
    "ApusDigest": ["COpenSSL"],
    "ApusTLS": ["ApusBase", "COpenSSL"],
    "ApusLane": ["ApusBase", "ApusWire", "ApusIO", "CLinux"],
    "ApusStream": ["ApusBase", "ApusIO", "ApusTLS", "ApusLane"],
    "ApusLog": ["ApusBase", "ApusWire", "ApusIO"],
    "ApusYAML": ["Yams"],
    "ApusJSON": [],
    "ApusMetrics": [],
    "ApusEngine": ["ApusBase", "CApusKernels", "COpenBLAS", "CSingleThreadedBLAS"],
    "ApusFormats": ["ApusBase", "ApusEngine", "COnnxProto", "CTensorFlowProto"],
    "ApusFeatures": ["ApusBase"],
    "ApusModels": [
      "ApusBase", "ApusDigest", "ApusEngine", "ApusFeatures", "ApusFormats", "ApusJSON", "ApusYAML", "CLinux",
      "COpenSSL",
    ],
    "ApusAccess": ["ApusBase", "ApusDigest", "ApusYAML", "COpenSSL"],
    "ApusClient": ["ApusBase", "ApusDigest", "ApusWire", "ApusIO", "ApusTLS", "ApusStream", "ApusLane"],
    "ApusServer": [
      "ApusBase", "ApusDigest", "ApusWire", "ApusIO", "ApusTLS", "ApusStream", "ApusLane", "ApusEngine",
      "ApusFeatures", "ApusModels", "ApusAccess", "ApusMetrics", "ApusLog",
    ],
    "ApusGateway": [
      "ApusAccess", "ApusBase", "ApusMetrics", "ApusWire", "ApusIO", "ApusTLS", "ApusJSON", "ApusServer",
      "HTTPTypes", "Hummingbird", "HummingbirdCore", "Logging", "NIOCore", "NIOHTTP1", "NIOHTTPTypes",
      "NIOPosix",
    ],
    "ApusStore": ["ApusBase", "ApusIO", "ApusJSON", "CCurl", "CExpat", "COpenSSL"],
    "apus-store": ["ApusStore", "ArgumentParser", "CLinux"],
    "apus": ["ApusCommand"],
    "apus-gateway": ["ApusCommand", "ApusGateway"],
    "ApusCommand": [
      "ApusBase", "ApusWire", "ApusIO", "ApusTLS", "ApusJSON", "ApusYAML", "ApusEngine", "ApusFormats",
      "ApusModels", "ApusAccess", "ApusClient", "ApusServer", "ApusLog",
      "ArgumentParser", "CLinux", "Histogram", "Logging",
    ],
  ]
  /// The system's own modules, for everyone. Foundation is none of them: it costs memory and start-up time.
  private static let system: Set<String> = ["Glibc", "Synchronization"]

  private static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  struct Source: CustomTestStringConvertible {
    /// From the root of the repository.
    let path: String
    let lines: [String]
    var testDescription: String { path }
  }

  /// Files under a folder whose names end in one of `endings`, built and generated ones left out.
  private static func sources(_ folder: String, _ endings: [String]) throws -> [Source] {
    let files = FileManager.default.enumerator(
      at: root.appendingPathComponent(folder), includingPropertiesForKeys: nil)
    return try (files?.compactMap { $0 as? URL } ?? [])
      .filter { file in endings.contains { file.lastPathComponent.hasSuffix($0) } }
      .filter { !$0.lastPathComponent.contains(".pb-c.") && !$0.pathComponents.contains("node_modules") }
      .map { file in
        let text = try String(contentsOf: file, encoding: .utf8)
        let path = String(file.path.dropFirst(root.path.count + 1))
        return Source(path: path, lines: text.components(separatedBy: "\n"))
      }
      .sorted { $0.path < $1.path }
  }

  private func importedModule(_ line: String) -> String? {
    let words = line.split(separator: " ").map(String.init)
    guard let place = words.firstIndex(of: "import"), place + 1 < words.count else { return nil }
    let before: Set<String> = [
      "package", "public", "internal", "private", "fileprivate", "@testable", "@preconcurrency",
    ]
    guard words[..<place].allSatisfy({ before.contains($0) }) else { return nil }
    let kinds: Set<String> = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
    let name = kinds.contains(words[place + 1]) ? words[place + 2] : words[place + 1]
    return name.split(separator: ".").first.map(String.init)
  }

  @Test func modulesImportOnlyFromBelow() throws {
    let sources = try Self.sources("Sources", [".swift"])
    #expect(sources.count > 50)
    for source in sources {
      let module = source.path.split(separator: "/").map(String.init)[1]
      guard let allowed = Self.mayImport[module] else {
        Issue.record("\(module) has no line in the module map")
        continue
      }
      for (index, line) in source.lines.enumerated() {
        guard let name = importedModule(line) else { continue }
        #expect(
          allowed.contains(name) || Self.system.contains(name),
          "\(source.path):\(index + 1): \(module) may not import \(name)")
      }
    }
  }

  @Test func theModuleMapHasNoCycle() {
    var order: [String] = []
    while let next = Self.mayImport.keys.sorted().first(where: { module in
      !order.contains(module)
        && Self.mayImport[module]!.allSatisfy { Self.mayImport[$0] == nil || order.contains($0) }
    }) {
      order.append(next)
    }
    #expect(order.count == Self.mayImport.count)
  }

  @Test func linesAndFilesAreShort() throws {
    for source in try Self.sources("Sources", [".swift"]) + Self.sources("Tests", [".swift"]) {
      #expect(source.lines.count <= 401, "\(source.path) has \(source.lines.count - 1) lines; split it")
      let long = source.lines.indices.filter { source.lines[$0].count > 110 }.map { $0 + 1 }
      #expect(long.isEmpty, "\(source.path): these lines have more than 110 columns: wrap them")
    }
  }

  /// A name in code that begins in lower case and has a capital in it is a test's.
  @Test func theSecurityPageNamesTestsThatExist() throws {
    let page = try String(contentsOf: Self.root.appendingPathComponent("docs/security.md"), encoding: .utf8)
    let tests = try Self.sources("Tests", [".swift"]).flatMap(\.lines).joined(separator: "\n")
    let names = page.matches(of: /`([a-z]+[A-Z][A-Za-z]*)`/).map { String($0.1) }
    #expect(names.count > 20)
    for name in names { #expect(tests.contains("func \(name)("), "there is no test \(name)") }
  }

  /// A type that its page does not name stands in no group of the client's documentation.
  @Test func theClientsPageNamesEveryPublicType() throws {
    let page = try String(
      contentsOf: Self.root.appendingPathComponent("Sources/ApusClient/ApusClient.docc/ApusClient.md"),
      encoding: .utf8)
    let named = Set(page.matches(of: /(?m)^- ``([A-Za-z]+)``$/).map { String($0.1) })
    let lines = try Self.sources("Sources/ApusClient", [".swift"]).flatMap(\.lines)
    let declaration = /^public (?:final class|struct|enum|protocol|actor) ([A-Za-z]+)/
    let types = Set(lines.compactMap { $0.firstMatch(of: declaration).map { String($0.1) } })
    #expect(types.count > 10)
    #expect(types.subtracting(named).sorted() == [], "name these under Topics")
    #expect(named.subtracting(types).sorted() == [], "these are no public types")
  }

  @Test func nothingNamesTheMachineItWasWrittenOn() throws {
    let here = ["/wo" + "rk/", "/ro" + "ot/"]
    for source in try Self.textFiles() {
      for (index, line) in source.lines.enumerated() {
        for name in here where line.contains(name) {
          Issue.record("\(source.path):\(index + 1) names \(name)")
        }
      }
    }
  }

  @Test func nothingIsLeftToDo() throws {
    let words = try Regex(#"\b(TO"# + #"DO|FIX"# + #"ME|XX"# + #"X)\b"#)
    for source in try Self.textFiles() {
      for (index, line) in source.lines.enumerated() where line.contains(words) {
        Issue.record("\(source.path):\(index + 1): \(line)")
      }
    }
  }

  private static func textFiles() throws -> [Source] {
    let endings = [
      ".swift", ".c", ".h", ".cc", ".py", ".sh", ".md", ".proto", ".yaml", ".toml", ".json", "Makefile",
      "modulemap",
    ]
    let folders = ["Sources", "Tests", "benchmarks", "clients", "models", "proto", "tools", ".ci"]
    let files = try folders.flatMap { try sources($0, endings) }
    let top = try ["Makefile", "Package.swift", "README.md", "ARCHITECTURE.md", ".ci/run"].map { path in
      let text = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
      return Source(path: path, lines: text.components(separatedBy: "\n"))
    }
    return files + top
  }
}
