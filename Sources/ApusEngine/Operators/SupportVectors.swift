import Glibc

/// How alike two vectors of features are, to a support vector machine.
struct SupportVectorKernel: Sendable {
  enum Kind: String {
    case linear = "LINEAR"
    case polynomial = "POLY"
    case radial = "RBF"
    case sigmoid = "SIGMOID"
  }

  let kind: Kind
  let gamma: Float
  let offset: Float
  let degree: Float

  /// - Parameter isLinear: nothing is said of the kernel: there are no support vectors.
  /// - Throws: `GraphError` for a kernel that is not known, and where its parameters are not there.
  init(_ attributes: Attributes, isLinear: Bool) throws(GraphError) {
    let name = try attributes.string("kernel_type") ?? "LINEAR"
    let parameters = try attributes.floats("kernel_params") ?? []
    guard let kind = Kind(rawValue: name) else { throw GraphError("the kernel_type '\(name)' is not known") }
    guard parameters.count >= 3 || parameters.isEmpty else {
      throw GraphError("kernel_params has \(parameters.count) numbers, not 3")
    }
    self.kind = isLinear ? .linear : kind
    gamma = parameters.isEmpty ? 0 : parameters[0]
    offset = parameters.isEmpty ? 0 : parameters[1]
    degree = parameters.isEmpty ? 0 : parameters[2]
  }

  /// - Parameter other: as many numbers as `row` has.
  func apply(_ row: [Float], _ other: UnsafePointer<Float>) -> Float {
    var sum: Float = 0
    guard kind != .radial else {
      for (index, value) in row.enumerated() { sum += (value - other[index]) * (value - other[index]) }
      return exp(-gamma * sum)
    }
    for (index, value) in row.enumerated() { sum += value * other[index] }
    return switch kind {
    case .polynomial: raised(gamma * sum + offset)
    case .sigmoid: tanh(gamma * sum + offset)
    default: sum
    }
  }

  private func raised(_ base: Float) -> Float {
    switch degree {
    case 2: base * base
    case 3: base * base * base
    default: pow(base, degree)
    }
  }
}

/// SVMRegressor: a sum of kernels of support vectors, or a linear function.
struct SVMRegressor: Operator {
  let name = "SVMRegressor"
  let kernel: SupportVectorKernel
  /// A row for each support vector; the coefficients where there are none.
  let vectors: [Float]
  /// One for each support vector; empty: a linear function.
  let coefficients: [Float]
  let rho: Float
  var parameterCount: Int { vectors.count + coefficients.count + 1 }
  /// Whether only the side is told: 1 or -1.
  let isOneClass: Bool

  var features: Int { vectors.count / max(1, coefficients.count) }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try FeatureMatrix(inputs.required(0, "X"))
    guard input.columns == features else {
      throw GraphError("X has \(input.columns) features, not \(features)")
    }
    return [try TensorType(.float32, [input.rows, 1])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    let view = inputs[required: 0]
    let input = try FeatureMatrix(view.type.shape)
    var row = [Float](repeating: 0, count: input.columns)
    vectors.withUnsafeBufferPointer { vectors in
      guard let start = vectors.baseAddress else { return }
      for index in 0..<input.rows {
        input.read(index, of: view, into: &row)
        var sum: Float = 0
        for (place, coefficient) in coefficients.enumerated() {
          sum += coefficient * kernel.apply(row, start + place * features)
        }
        if coefficients.isEmpty { sum = kernel.apply(row, start) }
        outputs[0].pointer(Float.self)[index] = finish(sum + rho)
      }
    }
  }

  func finish(_ sum: Float) -> Float { isOneClass ? (sum > 0 ? 1 : -1) : sum }

  static let entries = [
    OperatorEntry("SVMRegressor", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      let attributes = node.attributes
      try attributes.only(
        "coefficients", "kernel_params", "kernel_type", "n_supports", "one_class", "post_transform", "rho",
        "support_vectors")
      guard try PostTransform(attributes) == .none else {
        throw GraphError("a post_transform of an SVMRegressor is not computed here")
      }
      let supports = try attributes.int("n_supports") ?? 0
      let coefficients = try attributes.floats("coefficients") ?? []
      let vectors = try attributes.floats("support_vectors") ?? []
      guard let rho = try attributes.floats("rho")?.first, !coefficients.isEmpty, supports >= 0,
        supports == 0 || coefficients.count == supports && !vectors.isEmpty && vectors.count % supports == 0
      else {
        throw GraphError(
          "\(supports) support vectors do not have \(coefficients.count) coefficients "
            + "and \(vectors.count) numbers")
      }
      return SVMRegressor(
        kernel: try SupportVectorKernel(attributes, isLinear: supports == 0),
        vectors: supports == 0 ? coefficients : vectors, coefficients: supports == 0 ? [] : coefficients,
        rho: rho, isOneClass: try attributes.flag("one_class"))
    }
  ]
}
