import Foundation
import Testing

/// `apus classify --text` and `apus bench` on a model of texts, as processes.
@Suite(.timeLimit(.minutes(15))) struct TextCommandTests {
  private func classify(
    _ server: ServerProcess, _ arguments: [String], model: String = "sentiment", input: Data? = nil
  ) throws -> CommandRun {
    try CommandRun(["classify", "--to", server.unix, "--model", model] + arguments, input: input)
  }

  struct Document: Decodable {
    struct Row: Decodable { let classes: [Class] }
    struct Class: Decodable {
      let label: String
      let probability: Double
    }
    let model: String
    let results: [Row]
  }

  /// The text as an argument and from standard input, with and without a line break at its end.
  @Test func aTextIsClassified() throws {
    let reviews = try Reviews.load()
    let server = try ServerProcess()
    for (index, text) in reviews.texts.enumerated().prefix(8) {
      for input in [nil, Data(text.utf8), Data((text + "\n").utf8)] {
        let given = input == nil ? text : "-"
        let outcome = try classify(server, ["--text", given, "--json"], input: input)
        try #require(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
        let document = try JSONDecoder().decode(Document.self, from: Data(outcome.output.utf8))
        #expect(document.model == "sentiment" && document.results.count == 1)
        for found in document.results[0].classes {
          let expected = reviews.probabilities[index][found.label == "positive" ? 1 : 0]
          #expect(abs(found.probability - expected) < 2e-6)
        }
        #expect(document.results[0].classes.count == 2)
      }
    }
    let shown = try classify(server, ["--text", "What a lovely film", "--top", "1"])
    #expect(shown.status == 0 && shown.output.contains("positive") && !shown.output.contains("negative"))
    #expect(shown.output.contains("sentiment version 1 answered in"))
    #expect(try classify(server, ["--text", ""]).status == 0)
  }

  @Test func wrongUsageIsSaidInOneLine() throws {
    let server = try ServerProcess()
    let both = try classify(server, ["--text", "a", "--tensor", "b.npy"])
    let neither = try classify(server, [])
    for outcome in [both, neither] {
      #expect(outcome.status == 2 && outcome.output.isEmpty)
      #expect(outcome.errors.contains("--tensor FILE.npy or --text TEXT, one of them"))
    }
    let bytes = try classify(server, ["--text", "-"], input: Data([0x61, 0xFF]))
    #expect(bytes.status == 2 && bytes.errors.contains("standard input is not UTF-8"))
    let digits = try classify(server, ["--text", "three"], model: "digits")
    #expect(digits.status == 1 && digits.errors.contains("takes float32 of shape (rows, 64)"))
    for outcome in [both, neither, bytes, digits] {
      #expect(outcome.errors.last == "\n" && outcome.errors.count { $0 == "\n" } == 1)
    }
  }

  /// The example of the README.
  @Test func theReadmesTextIsPositive() throws {
    let readme = try String(
      contentsOf: ServerProcess.root.appendingPathComponent("README.md"), encoding: .utf8)
    let line = try #require(
      readme.split(separator: "\n").first { $0.hasPrefix("apus classify") && $0.contains("--text") })
    let text = try #require(line.split(separator: "\"").dropFirst().first)
    let server = try ServerProcess()
    let outcome = try classify(server, ["--text", String(text), "--top", "1"])
    #expect(outcome.output.contains("positive"), "\(line): \(outcome)")
  }

  /// Random words; every call another text.
  @Test(arguments: [1, 5]) func aModelOfTextsIsMeasured(_ rows: Int) throws {
    let server = try ServerProcess()
    let file = NSTemporaryDirectory() + "apus-\(UUID().uuidString.prefix(8)).npy"
    defer { try? FileManager.default.removeItem(atPath: file) }
    let outcome = try CommandRun([
      "bench", "--to", server.unix, "--model", "sentiment", "--duration", "0.2", "--rows", "\(rows)",
      "--json", "--record", file,
    ])
    try #require(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    struct Measured: Decodable {
      let calls: Int
      let errors: Int
    }
    let measured = try JSONDecoder().decode(Measured.self, from: Data(outcome.output.utf8))
    #expect(measured.calls > 0 && measured.errors == 0)
    // After the header, float32: two classes a row. A changed letter changes the answer.
    let recorded = try Data(contentsOf: URL(fileURLWithPath: file))
    let numbers = recorded.suffix(measured.calls * rows * 8)
    #expect(recorded.count == numbers.count + 128)
    #expect(Set(stride(from: 0, to: numbers.count, by: 8).map { numbers.dropFirst($0).prefix(8) }).count > 1)
  }

  @Test func vectorsOfAModelOfTextsAreTakenToo() throws {
    let server = try ServerProcess()
    let file = NSTemporaryDirectory() + "apus-\(UUID().uuidString.prefix(8)).npy"
    defer { try? FileManager.default.removeItem(atPath: file) }
    var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1024,), }"
    header += String(repeating: " ", count: 117 - header.count) + "\n"
    let magic = Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0, 118, 0])
    try (magic + Data(header.utf8) + Data(count: 4096)).write(to: URL(fileURLWithPath: file))
    let vector = try classify(server, ["--tensor", file, "--json"])
    let empty = try classify(server, ["--text", "", "--json"])
    try #require(vector.status == 0 && empty.status == 0, "\(vector) \(empty)")
    let documents = try [vector, empty].map {
      try JSONDecoder().decode(Document.self, from: Data($0.output.utf8))
    }
    let found = documents.map { $0.results[0].classes.map(\.probability) }
    #expect(found[0] == found[1])
    let measured = try CommandRun([
      "bench", "--to", server.unix, "--model", "sentiment", "--duration", "0.1", "--tensor", file, "--json",
    ])
    #expect(measured.status == 0 && measured.output.contains(#""errors": 0"#), "\(measured)")
  }
}
