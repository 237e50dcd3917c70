import ApusEngine
import ApusFormats
import ApusYAML

extension Manifest {
  /// What `architecture` says: how the tensors of a weight file are put together.
  static func architecture(_ value: YAMLValue) throws(YAMLError) -> Architecture {
    var type: Architecture.Kind?
    var activation: Activation?
    var layers: [LayerDescription]?
    for (key, value) in try value.fields("architecture", known: ["type", "activation", "layers"]) {
      switch key {
      case "type": type = try value.choice("architecture.type", of: Architecture.Kind.self)
      case "activation": activation = try value.choice("architecture.activation", of: Activation.self)
      default: layers = try Self.layers(value)
      }
    }
    guard let type else { throw value.failure("architecture needs a type, for example `type: mlp`") }
    switch type {
    case .mlp:
      guard layers == nil else {
        throw value.failure("an architecture of type mlp lists no layers; say `type: layers`")
      }
      return Architecture(type: type, activation: activation ?? .relu)
    case .layers:
      guard let layers else {
        throw value.failure(
          "an architecture of type layers lists them: `layers: [flatten, {type: linear}, relu]`")
      }
      guard activation == nil else {
        throw value.failure("in an architecture of type layers, activations are layers; remove activation")
      }
      return Architecture(type: type, activation: .none, layers: layers)
    }
  }

  /// More than any classifier has.
  private static let maximumLayers = 1_000
  /// Larger than any window.
  private static let maximumSize = 1 << 20

  private static func layers(_ value: YAMLValue) throws(YAMLError) -> [LayerDescription] {
    guard let items = value.items, !items.isEmpty, items.count <= maximumLayers else {
      throw value.failure("architecture.layers must be a list of 1 to \(maximumLayers) layers")
    }
    var layers: [LayerDescription] = []
    for item in items { layers.append(try layer(item)) }
    return layers
  }

  /// A layer's type alone, or a map with its type.
  private static func layer(_ value: YAMLValue) throws(YAMLError) -> LayerDescription {
    guard value.isMapping else {
      return LayerDescription(try value.choice("a layer", of: LayerDescription.Kind.self))
    }
    var type: YAMLValue?
    for (key, value) in try value.entries("a layer") where try key.text("a key") == "type" { type = value }
    guard let type else { throw value.failure("a layer needs a type, for example `{type: linear}`") }
    let kind = try type.choice("a layer's type", of: LayerDescription.Kind.self)
    var layer = LayerDescription(kind)
    for (key, value) in try value.fields("a layer of type \(kind.rawValue)", known: ["type"] + kind.keys) {
      try read(key, value, into: &layer)
    }
    return layer
  }

  private static func read(
    _ key: String, _ value: YAMLValue, into layer: inout LayerDescription
  ) throws(YAMLError) {
    let name = "\(layer.kind.rawValue).\(key)"
    switch key {
    case "name": layer.name = try value.text(name)
    case "kernel": layer.kernel = try sizes(value, name, from: 1)
    case "stride": layer.stride = try sizes(value, name, from: 1)
    case "padding": layer.padding = try sizes(value, name, from: 0)
    case "dilation": layer.dilation = try sizes(value, name, from: 1)
    case "groups": layer.groups = try value.integer(name, in: 1...maximumSize)
    case "ceil": layer.isCeiling = try flag(value, name)
    case "count_include_pad": layer.countsPadding = try flag(value, name)
    case "eps": layer.epsilon = try number(value, name)
    case "slope": layer.slope = try number(value, name)
    // The type, and how much a dropout leaves out when it trains.
    default: break
    }
  }

  /// A number for all dimensions, or a list of one for each.
  private static func sizes(_ value: YAMLValue, _ name: String, from least: Int) throws(YAMLError) -> [Int] {
    guard let items = value.items else { return [try value.integer(name, in: least...maximumSize)] }
    guard (1...2).contains(items.count) else {
      throw value.failure("\(name) is a number, or a list of one for each dimension")
    }
    var sizes: [Int] = []
    for item in items { sizes.append(try item.integer(name, in: least...maximumSize)) }
    return sizes
  }

  private static func number(_ value: YAMLValue, _ name: String) throws(YAMLError) -> Float {
    let text = try value.text(name)
    guard let number = Float(text), number.isFinite, number >= 0 else {
      throw value.failure("\(name) must be a number from 0 on, not \(shortened(text))")
    }
    return number
  }

  private static func flag(_ value: YAMLValue, _ name: String) throws(YAMLError) -> Bool {
    switch try value.text(name) {
    case "true": return true
    case "false": return false
    case let other: throw value.failure("\(name) must be true or false, not \(shortened(other))")
    }
  }
}
