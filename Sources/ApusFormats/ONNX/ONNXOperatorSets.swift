import COnnxProto

/// The versions of the operators' domains that a model is written for.
struct ONNXOperatorSets {
  /// By domain; ONNX's own is the empty one.
  private(set) var versions: [String: Int] = [:]

  /// Domains that are not computed may be imported as long as no node is of them.
  ///
  /// - Throws: `unsupported` for versions that are not computed.
  init(_ imports: [Onnx__OperatorSetIdProto]) throws(FormatError) {
    for message in imports {
      let domain = Self.domain(text(message.domain))
      let version = Int(message.version)
      let shown = domain.isEmpty ? "ai.onnx" : printable(domain)
      if let known = ONNXLimits.opsets[domain], !known.contains(version) {
        throw .unsupported(
          "opset \(version) of \(shown); those from \(known.lowerBound) to \(known.upperBound) are computed")
      }
      if let other = versions.updateValue(version, forKey: domain), other != version {
        throw .malformed("the model imports opset \(other) and opset \(version) of \(shown)")
      }
    }
  }

  /// The version of a node's domain.
  ///
  /// - Throws: `FormatError.node`.
  func version(_ name: String, node: String, operatorName: String) throws(FormatError) -> Int {
    let domain = Self.domain(name)
    let shown = domain.isEmpty ? "ai.onnx" : printable(domain)
    guard ONNXLimits.opsets[domain] != nil else {
      throw .node(
        name: node,
        problem: "the operator \(shown).\(operatorName) is of a domain that is not computed here; "
          + "ai.onnx and ai.onnx.ml are")
    }
    guard let version = versions[domain] else {
      throw .node(name: node, problem: "it is of the domain \(shown), of which the model imports no opset")
    }
    return version
  }

  static func domain(_ name: String) -> String { name == "ai.onnx" ? "" : name }
}
