/// The attributes of a node, by ONNX's names.
package struct Attributes: Sendable {
  package enum Attribute: Sendable {
    case int(Int)
    case float(Float)
    case string(String)
    case ints([Int])
    case floats([Float])
    case strings([String])
    case tensor(Tensor)
  }

  private let values: [String: Attribute]

  package init(_ values: [String: Attribute] = [:]) { self.values = values }

  /// Refuses what an operator does not know: it could change what is computed.
  ///
  /// - Throws: `GraphError` that names the first other attribute.
  package func only(_ names: String...) throws(GraphError) {
    for name in values.keys.sorted() where !names.contains(name) {
      throw GraphError("the attribute '\(name)' is not known here")
    }
  }

  package func has(_ name: String) -> Bool { values[name] != nil }

  // Each throws `GraphError` where the attribute is of another kind; nil: it is not there.

  package func int(_ name: String) throws(GraphError) -> Int? {
    guard let value = values[name] else { return nil }
    guard case .int(let int) = value else { throw Self.wrongKind(name, "a whole number") }
    return int
  }

  package func float(_ name: String) throws(GraphError) -> Float? {
    guard let value = values[name] else { return nil }
    guard case .float(let float) = value else { throw Self.wrongKind(name, "a number") }
    return float
  }

  package func string(_ name: String) throws(GraphError) -> String? {
    guard let value = values[name] else { return nil }
    guard case .string(let string) = value else { throw Self.wrongKind(name, "a text") }
    return string
  }

  package func ints(_ name: String) throws(GraphError) -> [Int]? {
    guard let value = values[name] else { return nil }
    guard case .ints(let ints) = value else { throw Self.wrongKind(name, "whole numbers") }
    return ints
  }

  package func floats(_ name: String) throws(GraphError) -> [Float]? {
    guard let value = values[name] else { return nil }
    guard case .floats(let floats) = value else { throw Self.wrongKind(name, "numbers") }
    return floats
  }

  package func strings(_ name: String) throws(GraphError) -> [String]? {
    guard let value = values[name] else { return nil }
    guard case .strings(let strings) = value else { throw Self.wrongKind(name, "texts") }
    return strings
  }

  package func tensor(_ name: String) throws(GraphError) -> Tensor? {
    guard let value = values[name] else { return nil }
    guard case .tensor(let tensor) = value else { throw Self.wrongKind(name, "a tensor") }
    return tensor
  }

  /// Yes or no, as ONNX says it: 1 or 0.
  package func flag(_ name: String) throws(GraphError) -> Bool { try int(name) ?? 0 != 0 }

  private static func wrongKind(_ name: String, _ wanted: String) -> GraphError {
    GraphError("the attribute '\(name)' is not \(wanted)")
  }
}
