import ApusFeatures
import Foundation
import Testing

/// Texts in many scripts against what scikit-learn makes of them (Tests/Fixtures/features/make.py).
@Suite struct GoldenTests {
  private struct Setting: Decodable {
    let dimensions: Int
    let analyzer: String
    let low: Int
    let high: Int
    let norm: String

    var features: HashingFeatures? {
      guard let analyzer = HashingFeatures.Analyzer(rawValue: analyzer),
        let norm = HashingFeatures.Norm(rawValue: norm)
      else { return nil }
      return HashingFeatures(dimensions: dimensions, analyzer: analyzer, ngrams: low...high, norm: norm)
    }
  }

  private struct Texts: Decodable {
    let whole: Int
    let settings: [Setting]
    let texts: [String]
  }

  private struct Classes: Decodable {
    let word, space, cased, ignorable, unassigned: [[UInt32]]
  }

  private static func data(_ name: String) throws -> Data {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try Data(contentsOf: folder.appending(path: "Fixtures/features/\(name)"))
  }

  private static func numbers<Number>(_ name: String, of type: Number.Type) throws -> [Number] {
    try data(name).withUnsafeBytes { bytes in
      (0..<(bytes.count / MemoryLayout<Number>.stride)).map {
        bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Number>.stride, as: Number.self)
      }
    }
  }

  @Test func vectorsAreThoseOfScikitLearn() throws {
    let fixture = try JSONDecoder().decode(Texts.self, from: Self.data("texts.json"))
    let digests = try Self.numbers("digests.bin", of: UInt32.self)
    try #require(digests.count == fixture.settings.count * fixture.texts.count)
    try #require(fixture.texts.count > 2000)
    for (row, setting) in fixture.settings.enumerated() {
      let features = try #require(setting.features)
      var wrong: [Int] = []
      for (column, text) in fixture.texts.enumerated() {
        let found = digest(try #require(vector(text, features)))
        if found != digests[row * fixture.texts.count + column] { wrong.append(column) }
      }
      #expect(wrong.isEmpty, "\(setting): \(wrong.prefix(9).map { fixture.texts[$0].debugDescription })")
    }
  }

  @Test func numbersAreThoseOfScikitLearn() throws {
    let fixture = try JSONDecoder().decode(Texts.self, from: Self.data("texts.json"))
    let expected = try Self.numbers("vectors.bin", of: Float.self)
    let features = try #require(fixture.settings[0].features)
    try #require(expected.count == fixture.whole * features.dimensions)
    for (row, text) in fixture.texts.prefix(fixture.whole).enumerated() {
      let numbers = Array(expected[(row * features.dimensions)..<((row + 1) * features.dimensions)])
      #expect(vector(text, features) == numbers, "\(text.debugDescription)")
    }
  }

  /// Each character's classes and lower case are Python's, but for those that its older Unicode did not know,
  /// and two that Unicode has changed since 14.0: whether U+0295 is cased and
  /// whether U+1171E is case-ignorable. Both matter only beside a capital sigma.
  @Test func classesOfEveryScalarAreThoseOfPython() throws {
    let classes = try JSONDecoder().decode(Classes.self, from: Self.data("scalars.json"))
    let lower = try JSONDecoder().decode([String: [UInt32]].self, from: Self.data("lower.json"))
    let unassigned = set(classes.unassigned)
    let (word, space) = (set(classes.word), set(classes.space))
    let (cased, ignorable) = (set(classes.cased), set(classes.ignorable))
    var wrong: [String] = []
    for value in 0...UInt32(0x10FFFF) where !unassigned[Int(value)] {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let index = Int(value)
      let properties = scalar.properties
      var differences = ""
      if scalar.isWord != word[index] { differences += " word" }
      if scalar.isSpace != space[index] { differences += " space" }
      if properties.isCaseIgnorable != ignorable[index] { differences += " ignorable" }
      if (properties.isCased && !properties.isCaseIgnorable) != cased[index] { differences += " cased" }
      let mapped = properties.lowercaseMapping.unicodeScalars.map(\.value)
      if mapped != lower[String(value, radix: 16)] ?? [value] { differences += " lower" }
      if (mapped != [value]) != properties.changesWhenLowercased { differences += " changes" }
      if !differences.isEmpty { wrong.append(String(value, radix: 16) + differences) }
    }
    #expect(wrong == ["295 cased", "1171e ignorable"], "\(wrong.count): \(wrong.prefix(60))")
  }

  private func set(_ ranges: [[UInt32]]) -> [Bool] {
    var set = [Bool](repeating: false, count: 0x110000)
    for range in ranges { for value in range[0]...range[1] { set[Int(value)] = true } }
    return set
  }

  /// FNV-1a over the places of the numbers that are not zero, and then over these.
  private func digest(_ vector: [Float]) -> UInt32 {
    let places = vector.indices.filter { vector[$0] != 0 }
    var value: UInt32 = 0x811C_9DC5
    for word in places.map({ UInt32($0) }) + places.map({ vector[$0].bitPattern }) {
      for shift in [0, 8, 16, 24] as [UInt32] { value = (value ^ (word >> shift & 0xFF)) &* 0x0100_0193 }
    }
    return value
  }
}

func vector(_ text: String, _ features: HashingFeatures) -> [Float]? { vector(Array(text.utf8), features) }

func vector(_ bytes: [UInt8], _ features: HashingFeatures) -> [Float]? {
  let scratch = FeatureScratch()
  var output = [Float](repeating: .nan, count: features.dimensions)
  let isText = output.withUnsafeMutableBufferPointer { output in
    bytes.withUnsafeBytes { features.vector(of: $0, into: output.baseAddress!, scratch: scratch) }
  }
  return isText ? output : nil
}
