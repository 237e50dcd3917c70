package import ApusBase
package import ApusEngine
package import ApusFeatures
package import ApusFormats
import ApusYAML

/// What a version's `model.yaml` says. Everything is optional, and what the model file says is not asked
/// again.
package struct Manifest: Sendable, Equatable {
  package enum Labels: Sendable, Equatable {
    case list([String])
    /// Name of a file in the version's folder, a label on each line.
    case file(String)
  }

  package struct Output: Sendable, Equatable {
    /// The output of the model that counts, where it has several.
    package var name: String?
    package var activation: OutputActivation?
  }

  package enum InputKind: String, Sendable, CaseIterable {
    case tensor, text
  }

  package struct Input: Sendable, Equatable {
    package var name: String?
    package var kind: InputKind?
    /// Of one input, without the batch; empty for a text.
    package var shape: [Int]
    /// nil: as the model file says.
    package var dataType: DataType?
  }

  package var architecture: Architecture?
  package var output: Output?
  package var labels: Labels?
  package var inputs: [Input] = []
  /// How a text becomes the model's numbers.
  package var features: HashingFeatures?
  /// Rows computed together at most.
  package var batchMaximum = Limits().batchRows
  /// How long the first call of a batch may wait for further ones, in microseconds; 0: nothing waits.
  package var maximumDelayMicroseconds: UInt64 = 0
  /// Batches that workers compute at one time; nil: no bound.
  package var concurrency: Int?

  package init() {}
}

extension Manifest {
  package var schedule: ModelSchedule {
    var schedule = ModelSchedule()
    schedule.maximumDelayNanoseconds = maximumDelayMicroseconds * 1000
    schedule.concurrency = concurrency
    return schedule
  }

  /// Reads the text of a `model.yaml`.
  ///
  /// - Throws: `ModelError` with the line, and for an unknown key the nearest known one.
  package init(yaml text: String) throws(ModelError) {
    self.init()
    do { try read(text) } catch { throw ModelError(error.description) }
  }

  private mutating func read(_ text: String) throws(YAMLError) {
    guard let root = try YAMLValue(text: text, source: "model.yaml") else { return }
    let known = ["architecture", "output", "labels", "input", "features", "batch", "concurrency"]
    for (key, value) in try root.fields("model.yaml", known: known) {
      switch key {
      case "architecture": architecture = try Self.architecture(value)
      case "output": output = try Self.output(value)
      case "labels": labels = try Self.labels(value)
      case "input": inputs = try Self.inputs(value)
      case "features": features = try Self.features(value)
      case "concurrency": concurrency = try value.integer("concurrency", in: 1...256)
      default: try readBatch(value)
      }
    }
  }

  private static func output(_ value: YAMLValue) throws(YAMLError) -> Output {
    guard value.isMapping else {
      return Output(name: nil, activation: try value.choice("output", of: OutputActivation.self))
    }
    var output = Output()
    for (key, value) in try value.fields("output", known: ["name", "activation"]) {
      switch key {
      case "name": output.name = try value.text("output.name")
      default: output.activation = try value.choice("output.activation", of: OutputActivation.self)
      }
    }
    return output
  }

  private static func labels(_ value: YAMLValue) throws(YAMLError) -> Labels {
    guard let items = value.items else {
      let name = try value.text("labels")
      guard !name.isEmpty, !name.hasPrefix("."), !name.contains("/"), !name.utf8.contains(0) else {
        throw value.failure("labels must be a list, or the name of a file in the same folder, not \(name)")
      }
      return .file(name)
    }
    var labels: [String] = []
    for item in items { labels.append(try item.text("a label")) }
    guard !labels.isEmpty else { throw value.failure("labels is an empty list") }
    return .list(labels)
  }

  private static func inputs(_ value: YAMLValue) throws(YAMLError) -> [Input] {
    var inputs: [Input] = []
    for item in value.items ?? [value] { inputs.append(try input(item)) }
    guard !inputs.isEmpty else { throw value.failure("input is an empty list") }
    return inputs
  }

  private static func input(_ value: YAMLValue) throws(YAMLError) -> Input {
    var shape: [Int]?
    var input = Input(name: nil, shape: [], dataType: nil)
    for (key, value) in try value.fields("input", known: ["name", "kind", "shape", "dtype"]) {
      switch key {
      case "name": input.name = try value.text("input.name")
      case "kind": input.kind = try value.choice("input.kind", of: InputKind.self)
      case "shape": shape = try Self.shape(value)
      default:
        let name = try value.text("input.dtype")
        guard let type = DataType.allCases.first(where: { $0.name == name }) else {
          let known = DataType.allCases.map(\.name).joined(separator: ", ")
          throw value.failure("input.dtype \(name) is unknown; there are \(known)")
        }
        input.dataType = type
      }
    }
    guard input.kind != .text else {
      guard shape == nil else { throw value.failure("an input of kind text has no shape; remove it") }
      return input
    }
    guard let shape else { throw value.failure("input needs a shape, for example `shape: [100]`") }
    input.shape = shape
    return input
  }

  private static func shape(_ value: YAMLValue) throws(YAMLError) -> [Int] {
    guard let items = value.items, (1...8).contains(items.count) else {
      throw value.failure("input.shape must be a list of 1 to 8 sizes, without the batch")
    }
    var shape: [Int] = []
    var product = 1
    for item in items {
      let size = try item.integer("a size of input.shape", in: 1...Limits().bodyBytes)
      shape.append(size)
      // Both are at most 2^26, so that their product cannot overflow.
      product *= size
      guard product <= Limits().bodyBytes else {
        throw item.failure("input.shape is larger than a call may be")
      }
    }
    return shape
  }

  private mutating func readBatch(_ value: YAMLValue) throws(YAMLError) {
    for (key, value) in try value.fields("batch", known: ["max", "max_delay_us"]) {
      switch key {
      case "max": batchMaximum = try value.integer("batch.max", in: 1...Limits().batchRows)
      default: maximumDelayMicroseconds = UInt64(try value.integer("batch.max_delay_us", in: 0...10_000_000))
      }
    }
  }
}
