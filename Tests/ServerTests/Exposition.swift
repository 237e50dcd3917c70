import ApusMetrics
import Foundation
import Testing

/// A text of metrics, read back by the grammar of its format.
struct Exposition {
  struct Family: Equatable {
    var kind = ""
    var unit = ""
    var help = ""
  }

  struct Sample: Hashable {
    let name: String
    let labels: [String: String]
  }

  struct Wrong: Error { let line: String }

  private(set) var families: [String: Family] = [:]
  private(set) var values: [Sample: String] = [:]
  /// As they came.
  private(set) var samples: [Sample] = []
  let lines: [String]

  init(_ text: [UInt8], _ format: MetricsFormat) throws {
    let text = try #require(String(validating: text, as: UTF8.self))
    try #require(text.hasSuffix(format == .openMetrics ? "\n# EOF\n" : "\n"))
    lines = text.components(separatedBy: "\n").dropLast(format == .openMetrics ? 2 : 1)
    var current = ""
    for line in lines {
      if line.hasPrefix("# ") {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        guard words.count == 4 else { throw Wrong(line: line) }
        if words[2] != current {
          current = words[2]
          guard families.updateValue(Family(), forKey: current) == nil else { throw Wrong(line: line) }
        }
        switch words[1] {
        case "TYPE": families[current]?.kind = words[3]
        case "UNIT": families[current]?.unit = words[3]
        case "HELP": families[current]?.help = words[3]
        default: throw Wrong(line: line)
        }
      } else {
        let (sample, value) = try Self.sample(line)
        let suffixes = Self.suffixes(try #require(families[current]).kind, format)
        guard suffixes.contains(where: { sample.name == current + $0 }),
          values.updateValue(value, forKey: sample) == nil
        else { throw Wrong(line: line) }
        samples.append(sample)
      }
    }
  }

  /// What stands behind the family's name in its samples.
  private static func suffixes(_ kind: String, _ format: MetricsFormat) -> [String] {
    switch kind {
    case "histogram": ["_bucket", "_sum", "_count"]
    case "counter": [format == .openMetrics ? "_total" : ""]
    case "info": ["_info"]
    default: [""]
    }
  }

  private static func sample(_ line: String) throws -> (Sample, String) {
    let pattern = /(?<name>[a-z_]+)(\{(?<labels>.*)\})? (?<value>[0-9.]+)/
    guard let match = try pattern.wholeMatch(in: line) else { throw Wrong(line: line) }
    var labels: [String: String] = [:]
    var rest = match.labels ?? ""
    while !rest.isEmpty {
      guard let pair = rest.prefixMatch(of: /([a-z_]+)="((?:[^"\\]|\\[\\"n])*)"(,|$)/) else {
        throw Wrong(line: line)
      }
      guard labels.updateValue(unescaped(String(pair.2)), forKey: String(pair.1)) == nil else {
        throw Wrong(line: line)
      }
      rest = rest[pair.range.upperBound...]
    }
    return (Sample(name: String(match.name), labels: labels), String(match.value))
  }

  private static func unescaped(_ text: String) -> String {
    var characters = text.makeIterator()
    var result = ""
    while let character = characters.next() {
      if character != "\\" {
        result.append(character)
      } else if let next = characters.next() {
        result.append(next == "n" ? "\n" : next)
      }
    }
    return result
  }

  // MARK: Asking

  /// A sample's number; nil where there is none.
  func number(_ name: String, _ labels: [String: String] = [:]) -> UInt64? {
    values[Sample(name: name, labels: labels)].flatMap { UInt64($0) }
  }

  /// A sample in seconds as nanoseconds, exactly.
  func nanoseconds(_ name: String, _ labels: [String: String]) -> UInt64? {
    guard let text = values[Sample(name: name, labels: labels)] else { return nil }
    let parts = text.split(separator: ".", maxSplits: 1)
    let fraction = parts.count > 1 ? String(parts[1]) : ""
    return UInt64(String(parts[0]) + fraction + String(repeating: "0", count: 9 - fraction.count))
  }

  /// Samples of one name that have these labels and any others.
  func all(_ name: String, _ labels: [String: String] = [:]) -> [Sample] {
    samples.filter { sample in
      sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
    }
  }
}
