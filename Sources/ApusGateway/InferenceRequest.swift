package import ApusJSON
package import ApusWire

/// A request of the Open Inference Protocol, version 2 (github.com/kserve/open-inference-protocol,
/// specification/protocol/inference_rest.md), with Triton's extensions for binary tensors and for
/// classification (github.com/triton-inference-server/server, docs/protocol/extension_binary_data.md and
/// extension_classification.md).
package struct InferenceRequest {
  package struct Tensor {
    package var name = ""
    package var shape: [Int]?
    package var datatype = ""
    package var data: Input?
    /// Its bytes behind the JSON, instead of `data`.
    package var binaryBytes: Int?
  }

  package struct Output {
    package var name = ""
    /// nil: as the whole request says.
    package var isBinary: Bool?
    /// Triton's classification: the best so many classes as texts; 0: numbers.
    package var classes = 0

    package init(name: String = "") { self.name = name }
  }

  package var id: String?
  package var inputs: [Tensor] = []
  /// Empty: the probabilities.
  package var outputs: [Output] = []
  package var isBinaryOutput = false
  /// Triton's, in microseconds; 0: none.
  package var timeoutMicroseconds = 0.0

  private static let mostTensors = 64

  package init(_ scanner: inout JSONScanner) throws(JSONError) {
    var request = InferenceRequest()
    try scanner.object { (scanner, name) throws(JSONError) in
      switch name {
      case "id": request.id = try scanner.string()
      case "parameters": try request.readParameters(&scanner)
      case "inputs":
        try scanner.array { (scanner) throws(JSONError) in
          guard request.inputs.count < Self.mostTensors else { throw scanner.error("too many inputs") }
          request.inputs.append(try Tensor(&scanner))
        }
      case "outputs":
        try scanner.array { (scanner) throws(JSONError) in
          guard request.outputs.count < Self.mostTensors else { throw scanner.error("too many outputs") }
          request.outputs.append(try Output(&scanner))
        }
      default: try scanner.skipValue()
      }
    }
    self = request
  }

  private init() {}

  private mutating func readParameters(_ scanner: inout JSONScanner) throws(JSONError) {
    var isBinary = false
    var timeout = 0.0
    try scanner.object { (scanner, name) throws(JSONError) in
      switch name {
      case "binary_data_output": isBinary = try scanner.boolean()
      case "timeout": timeout = try scanner.number()
      default: try scanner.skipValue()
      }
    }
    isBinaryOutput = isBinary
    timeoutMicroseconds = timeout
  }
}

extension InferenceRequest.Tensor {
  init(_ scanner: inout JSONScanner) throws(JSONError) {
    var tensor = Self()
    try scanner.object { (scanner, name) throws(JSONError) in
      switch name {
      case "name": tensor.name = try scanner.string()
      case "datatype": tensor.datatype = try scanner.string()
      case "shape":
        var shape: [Int] = []
        try scanner.array { (scanner) throws(JSONError) in
          guard shape.count < 8 else { throw scanner.error("a shape has at most 8 dimensions") }
          shape.append(try scanner.count())
        }
        tensor.shape = shape
      case "data": tensor.data = try Input(&scanner, nestsTexts: true)
      case "parameters":
        try scanner.object { (scanner, name) throws(JSONError) in
          if name == "binary_data_size" {
            tensor.binaryBytes = try scanner.count()
          } else {
            try scanner.skipValue()
          }
        }
      default: try scanner.skipValue()
      }
    }
    self = tensor
  }
}

extension InferenceRequest.Output {
  init(_ scanner: inout JSONScanner) throws(JSONError) {
    var output = Self()
    try scanner.object { (scanner, name) throws(JSONError) in
      switch name {
      case "name": output.name = try scanner.string()
      case "parameters":
        try scanner.object { (scanner, name) throws(JSONError) in
          switch name {
          case "binary_data": output.isBinary = try scanner.boolean()
          case "classification": output.classes = try scanner.count()
          default: try scanner.skipValue()
          }
        }
      default: try scanner.skipValue()
      }
    }
    self = output
  }
}

extension InferenceRequest.Tensor {
  /// The numbers, in row-major order, and their shape, or the texts. Bytes are taken from the front of
  /// `binary`.
  ///
  /// - Parameter takesTexts: whether BYTES, which are texts, may come instead of FP32.
  /// - Throws: INVALID_ARGUMENT.
  package func input(
    _ binary: inout UnsafeRawBufferPointer, takesTexts: Bool = false
  ) throws(Status) -> Input {
    guard let shape else { throw Self.wrong("input '\(name)' has no shape") }
    if takesTexts, datatype == "BYTES" { return .texts(try texts(shape: shape, &binary)) }
    guard datatype == "FP32" else {
      throw Status(
        .invalidArgument, "DTYPE_MISMATCH",
        "input '\(name)' must be FP32\(takesTexts ? " or BYTES" : ""), not '\(datatype.prefix(16))'")
    }
    var count = 1
    for dimension in shape {
      let (product, overflows) = count.multipliedReportingOverflow(by: dimension)
      guard !overflows, product <= 1 << 40 else { throw Self.wrong("the shape of '\(name)' is too large") }
      count = product
    }
    return .numbers(try numbers(count, &binary), shape: shape)
  }

  private func numbers(_ count: Int, _ binary: inout UnsafeRawBufferPointer) throws(Status) -> [Float] {
    if let binaryBytes {
      guard binaryBytes == count * 4, binary.count >= binaryBytes else {
        throw Self.wrong(
          "input '\(name)' takes \(count * 4) bytes; binary_data_size is \(binaryBytes), and "
            + "\(binary.count) bytes are left in the body")
      }
      return Self.littleEndian(count, &binary)
    }
    guard case .numbers(let values, _)? = data else {
      throw Self.wrong("input '\(name)' has no numbers in 'data'")
    }
    guard values.count == count else {
      throw Self.wrong("input '\(name)' takes \(count) numbers; 'data' holds \(values.count)")
    }
    return values
  }

  /// Invariant of the unsafe code: `binary` holds `count` × 4 bytes or more, as the caller has checked.
  private static func littleEndian(_ count: Int, _ binary: inout UnsafeRawBufferPointer) -> [Float] {
    let bytes = UnsafeRawBufferPointer(rebasing: binary[..<(count * 4)])
    binary = UnsafeRawBufferPointer(rebasing: binary[(count * 4)...])
    return [Float](unsafeUninitializedCapacity: count) { output, initialized in
      UnsafeMutableRawBufferPointer(output).copyMemory(from: bytes)
      initialized = count
    }
  }

  static func wrong(_ text: String) -> Status { Status(.invalidArgument, "TENSOR_MISMATCH", text) }
}
