import Glibc

/// LabelEncoder: a value for each key, and one for what is no key.
///
/// Where ONNX gives texts the output is an int64, the index of the text in `classLabels`; the text for what
/// is no key is the last of them. Texts as keys are refused, as a graph has no tensors of texts.
struct LabelEncoder: LabelledOperator, MapOperator {
  let name = "LabelEncoder"
  /// The texts that values may be; empty where they are numbers.
  package let classLabels: ClassLabels
  private let keys: Keys
  /// The values in the keys' order, and last the one for what is no key.
  private let values: Tensor

  private enum Keys: Sendable {
    case whole([Int: Int])
    /// What is not a number is one key, whatever its bits.
    case real([Double: Int], notANumber: Int?)

    var elements: [ElementType] {
      switch self {
      case .whole: [.int64, .int32, .int16]
      case .real: [.float32, .float64]
      }
    }
  }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    try input.require("X", keys.elements)
    return [try TensorType(values.type.element, input.shape)]
  }

  func map(_ input: TensorView, to output: MutableTensorView) throws(GraphError) {
    switch input.type.element {
    case .int64: encode(input.elements(Int64.self), output)
    case .int32: encode(input.elements(Int32.self), output)
    case .int16: encode(input.elements(Int16.self), output)
    case .float32: encodeReal(input.elements(Float.self), output)
    case .float64: encodeReal(input.elements(Double.self), output)
    case let other: throw unexpected(other)
    }
  }

  private func encode<Number: FixedWidthInteger>(
    _ source: UnsafeBufferPointer<Number>, _ output: MutableTensorView
  ) {
    guard case .whole(let places) = keys else { return }
    for index in 0..<source.count { write(places[Int(source[index])], at: index, output) }
  }

  private func encodeReal<Number: BinaryFloatingPoint>(
    _ source: UnsafeBufferPointer<Number>, _ output: MutableTensorView
  ) {
    guard case .real(let places, let notANumber) = keys else { return }
    for index in 0..<source.count {
      let value = source[index]
      write(value.isNaN ? notANumber : places[Double(value)], at: index, output)
    }
  }

  private func write(_ place: Int?, at index: Int, _ output: MutableTensorView) {
    let size = values.type.element.byteCount
    let place = place ?? values.type.count - 1
    memcpy(output.start + index * size, values.start + place * size, size)
  }

  static let entries = [
    OperatorEntry("LabelEncoder", domain: "ai.onnx.ml") { (node) throws(GraphError) in
      node.opset >= 2 ? try LabelEncoder(node) : try LabelEncoder(texts: node.attributes)
    }
  ]

  /// The form of version 1: whole numbers are indices of texts.
  private init(texts attributes: Attributes) throws(GraphError) {
    try attributes.only("classes_strings", "default_int64", "default_string")
    let texts = try attributes.strings("classes_strings") ?? []
    guard !texts.isEmpty else { throw GraphError("classes_strings is missing") }
    classLabels = .texts(texts + [try attributes.string("default_string") ?? "_Unused"])
    keys = .whole(Dictionary(uniqueKeysWithValues: texts.indices.map { ($0, $0) }))
    values = try Tensor((0...texts.count).map { Int64($0) }, [texts.count + 1])
  }

  private init(_ node: NodeDescription) throws(GraphError) {
    let attributes = node.attributes
    if node.opset >= 4 {
      try attributes.only(
        "default_float", "default_int64", "default_string", "default_tensor", "keys_floats", "keys_int64s",
        "keys_strings", "keys_tensor", "values_floats", "values_int64s", "values_strings", "values_tensor")
    } else {
      try attributes.only(
        "default_float", "default_int64", "default_string", "keys_floats", "keys_int64s", "keys_strings",
        "values_floats", "values_int64s", "values_strings")
    }
    keys = try Self.keys(attributes)
    (values, classLabels) = try Self.values(attributes)
    let count = try Self.keyCount(attributes)
    guard values.type.count == count + 1 else {
      throw GraphError("there are \(count) keys and \(values.type.count - 1) values")
    }
  }

  private static func keyCount(_ attributes: Attributes) throws(GraphError) -> Int {
    if let tensor = try attributes.tensor("keys_tensor") { return tensor.type.count }
    return try (attributes.ints("keys_int64s") ?? []).count + (attributes.floats("keys_floats") ?? []).count
  }

  /// The first of equal keys is the one that is found.
  private static func keys(_ attributes: Attributes) throws(GraphError) -> Keys {
    if let integers = try attributes.ints("keys_int64s"), !integers.isEmpty { return wholeKeys(integers) }
    if let floats = try attributes.floats("keys_floats"), !floats.isEmpty {
      return realKeys(floats.map { Double($0) })
    }
    guard let tensor = try attributes.tensor("keys_tensor") else {
      throw GraphError("keys are missing, or are texts, which are not computed with here")
    }
    switch tensor.type.element {
    case .float32: return realKeys(tensor.view.elements(Float.self).map { Double($0) })
    case .float64: return realKeys(tensor.view.elements(Double.self).map { $0 })
    default: return wholeKeys(try tensor.view.integers())
    }
  }

  private static func wholeKeys(_ keys: [Int]) -> Keys {
    .whole(Dictionary(zip(keys, keys.indices)) { first, _ in first })
  }

  private static func realKeys(_ keys: [Double]) -> Keys {
    let numbers = zip(keys, keys.indices).filter { !$0.0.isNaN }
    return .real(
      Dictionary(numbers) { first, _ in first }, notANumber: keys.firstIndex { $0.isNaN })
  }

  private static func values(_ attributes: Attributes) throws(GraphError) -> (Tensor, ClassLabels) {
    if let integers = try attributes.ints("values_int64s"), !integers.isEmpty {
      let last = try attributes.int("default_int64") ?? -1
      return (try Tensor((integers + [last]).map { Int64($0) }, [integers.count + 1]), .texts([]))
    }
    if let floats = try attributes.floats("values_floats"), !floats.isEmpty {
      let last = try attributes.float("default_float") ?? -0.0
      return (try Tensor(floats + [last], [floats.count + 1]), .texts([]))
    }
    if let texts = try attributes.strings("values_strings"), !texts.isEmpty {
      let labels = texts + [try attributes.string("default_string") ?? "_Unused"]
      return (try Tensor(labels.indices.map { Int64($0) }, [labels.count]), .texts(labels))
    }
    guard let tensor = try attributes.tensor("values_tensor") else { throw GraphError("values are missing") }
    return (try extended(tensor, by: attributes.tensor("default_tensor")), .texts([]))
  }

  /// A tensor of values with one more for what is no key: a given one, -1, or -0 for real numbers.
  private static func extended(_ tensor: Tensor, by fallback: Tensor?) throws(GraphError) -> Tensor {
    let type = tensor.type
    guard [.int64, .int32, .int16, .float32, .float64].contains(type.element) else {
      throw GraphError("values of \(type.element.rawValue) are not computed here")
    }
    guard fallback.map({ $0.type.element == type.element && $0.type.count == 1 }) ?? true else {
      throw GraphError("default_tensor is not one number like the values")
    }
    let result = Tensor(try TensorType(type.element, [type.count + 1]))
    let last = result.start + type.byteCount
    memcpy(result.start, tensor.start, type.byteCount)
    if let fallback {
      memcpy(last, fallback.start, type.element.byteCount)
    } else {
      switch type.element {
      case .float32: last.storeBytes(of: -0.0, as: Float.self)
      case .float64: last.storeBytes(of: -0.0, as: Double.self)
      default: memset(last, 0xff, type.element.byteCount)
      }
    }
    return result
  }
}
