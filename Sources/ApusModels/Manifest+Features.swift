package import ApusFeatures
package import ApusYAML

/// `features: {type: hashing, dimensions: 100, analyzer: word, ngrams: [1, 2], norm: l2}`: type and
/// dimensions are needed, the rest is as scikit-learn's `HashingVectorizer` has it by default.
extension Manifest {
  private enum FeatureKind: String, CaseIterable {
    case hashing
  }

  package static func features(_ value: YAMLValue) throws(YAMLError) -> HashingFeatures {
    var kind: FeatureKind?
    var dimensions: Int?
    var analyzer = HashingFeatures.Analyzer.word
    var ngrams = 1...1
    var norm = HashingFeatures.Norm.l2
    let known = ["type", "dimensions", "analyzer", "ngrams", "norm"]
    for (key, value) in try value.fields("features", known: known) {
      switch key {
      case "type": kind = try value.choice("features.type", of: FeatureKind.self)
      case "dimensions":
        dimensions = try value.integer("features.dimensions", in: HashingFeatures.dimensionsAllowed)
      case "analyzer": analyzer = try value.choice("features.analyzer", of: HashingFeatures.Analyzer.self)
      case "ngrams": ngrams = try Self.ngrams(value)
      default: norm = try value.choice("features.norm", of: HashingFeatures.Norm.self)
      }
    }
    guard kind != nil, let dimensions else {
      throw value.failure(
        "features need a type and dimensions, for example `{type: hashing, dimensions: 100}`")
    }
    return HashingFeatures(dimensions: dimensions, analyzer: analyzer, ngrams: ngrams, norm: norm)
  }

  private static func ngrams(_ value: YAMLValue) throws(YAMLError) -> ClosedRange<Int> {
    guard let items = value.items, items.count == 2 else {
      throw value.failure("features.ngrams must be a list of two lengths, for example [1, 2]")
    }
    let shortest = try items[0].integer("the first of features.ngrams", in: HashingFeatures.ngramsAllowed)
    let longest = try items[1].integer("the second of features.ngrams", in: HashingFeatures.ngramsAllowed)
    guard shortest <= longest else { throw value.failure("features.ngrams must be in order") }
    return shortest...longest
  }
}
