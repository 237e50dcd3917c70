import Glibc

/// ZipMap: probabilities given on as they are, with the labels that ONNX makes a map's keys.
struct ZipMap: LabelledOperator {
  let name = "ZipMap"
  package let classLabels: ClassLabels

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", [.float32])
    guard 1...2 ~= input.shape.count, input.shape.last == classLabels.count else {
      throw GraphError("X of shape \(input.shape) has no number for each of \(classLabels.count) labels")
    }
    return [input.type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) {
    memcpy(outputs[0].start, inputs[required: 0].start, outputs[0].type.byteCount)
  }

  static let entries = [
    OperatorEntry("ZipMap", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try node.attributes.only("classlabels_int64s", "classlabels_strings")
      return ZipMap(
        classLabels: try ClassLabels(
          node.attributes, integers: "classlabels_int64s", texts: "classlabels_strings"))
    },
    OperatorEntry("ArrayFeatureExtractor", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try node.attributes.only()
      return ArrayFeatureExtractor()
    },
    OperatorEntry("FeatureVectorizer", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try node.attributes.only("inputdimensions")
      return FeatureVectorizer(sizes: try node.attributes.ints("inputdimensions"))
    },
    OperatorEntry("OneHotEncoder", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      try node.attributes.only("cats_int64s", "cats_strings", "zeros")
      guard let categories = try node.attributes.ints("cats_int64s"), !categories.isEmpty else {
        throw GraphError("cats_int64s is missing: texts are not computed with here")
      }
      return OneHotEncoder(
        categories: categories, allowsUnknown: try node.attributes.int("zeros") ?? 1 != 0)
    },
  ]
}

/// ArrayFeatureExtractor: some columns of the last dimension.
struct ArrayFeatureExtractor: Operator {
  let name = "ArrayFeatureExtractor"

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    let columns = try inputs.required(1, "Y")
    try input.require("X", FeatureMatrix.elements)
    try columns.require("Y", [.int64])
    guard let width = input.shape.last, columns.type.count > 0 else {
      throw GraphError("X is a scalar, or Y is empty")
    }
    if let indices = columns.value { try Self.check(indices, width) }
    let outer = input.shape.count == 1 ? [1] : Array(input.shape.dropLast())
    return [try TensorType(input.element, outer + [columns.type.count])]
  }

  private static func check(_ indices: TensorView, _ width: Int) throws(GraphError) {
    for index in indices.elements(Int64.self) where !(0..<Int64(width) ~= index) {
      throw GraphError("there is no column \(index) of \(width)")
    }
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let input = inputs[required: 0]
    let indices = inputs[required: 1].elements(Int64.self)
    let width = input.type.shape.last ?? 0
    try Self.check(inputs[required: 1], width)
    let size = input.type.element.byteCount
    var target = outputs[0].start
    for row in 0..<outputs[0].type.count / indices.count {
      for index in indices {
        memcpy(target, input.start + (row * width + Int(index)) * size, size)
        target += size
      }
    }
  }
}

/// FeatureVectorizer: the features of all inputs side by side.
struct FeatureVectorizer: Operator {
  let name = "FeatureVectorizer"
  /// Columns of each input; nil: as they are.
  let sizes: [Int]?

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let first = try FeatureMatrix(inputs.required(0, "X"))
    guard sizes == nil || sizes?.count == inputs.count else {
      throw GraphError("inputdimensions has not one number for each input")
    }
    var columns = 0
    for index in inputs.indices {
      let matrix = try FeatureMatrix(inputs.required(index, "X"))
      guard matrix.rows == first.rows, sizes == nil || sizes?[index] == matrix.columns else {
        throw GraphError("the input \(index) has \(matrix.rows) rows of \(matrix.columns) features")
      }
      let (sum, overflow) = columns.addingReportingOverflow(matrix.columns)
      guard !overflow else { throw GraphError("the inputs have too many features") }
      columns = sum
    }
    return [try TensorType(.float32, [first.rows, columns])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    guard outputs[0].type.count > 0 else { return }
    let width = outputs[0].type.shape[1]
    let target = outputs[0].pointer(Float.self)
    var start = 0
    for index in inputs.indices {
      let view = inputs[required: index]
      let matrix = try FeatureMatrix(view.type.shape)
      var row = [Float](repeating: 0, count: matrix.columns)
      for place in 0..<matrix.rows {
        matrix.read(place, of: view, into: &row)
        for (column, value) in row.enumerated() { target[place * width + start + column] = value }
      }
      start += matrix.columns
    }
  }
}

/// OneHotEncoder: for each number a vector with 1 at the place of its category, and 0 elsewhere.
struct OneHotEncoder: MapOperator {
  let name = "OneHotEncoder"
  let categories: [Int]
  /// Whether a number that is no category is a vector of zeros; else it is an error.
  let allowsUnknown: Bool

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", FeatureMatrix.elements)
    return [try TensorType(.float32, input.shape + [categories.count])]
  }

  func map(_ input: TensorView, to output: MutableTensorView) throws(GraphError) {
    let target = output.elements(Float.self)
    target.update(repeating: 0)
    for index in 0..<input.type.count {
      guard let place = place(input, index) else {
        guard allowsUnknown else { throw GraphError("a number is none of the categories") }
        continue
      }
      target[index * categories.count + place] = 1
    }
  }

  /// Real numbers are cut off to whole ones.
  private func place(_ input: TensorView, _ index: Int) -> Int? {
    let value: Int? =
      switch input.type.element {
      case .int64: Int(input.elements(Int64.self)[index])
      case .int32: Int(input.elements(Int32.self)[index])
      case .float64: Int(exactly: input.elements(Double.self)[index].rounded(.towardZero))
      default: Int(exactly: input.elements(Float.self)[index].rounded(.towardZero))
      }
    return value.flatMap { categories.firstIndex(of: $0) }
  }
}
