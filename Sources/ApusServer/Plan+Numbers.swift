import ApusBase
import ApusEngine

/// Why numbers give no answer.
enum NumbersError: Error, CustomStringConvertible {
  /// The model takes elements of another type, which this is none of.
  case notOfType(Float, ElementType)
  /// The model does not allow them.
  case refused(String)

  var description: String {
    switch self {
    case .notOfType(let number, let element): "\(number) is no \(element.rawValue), which the model takes"
    case .refused(let reason): reason
    }
  }
}

/// Answers to rows of floats, whatever type of numbers the model takes: for what comes as JSON, and for what
/// is no call.
extension Plan {
  enum Answer {
    case scores, probabilities
  }

  /// The probabilities of rows, one after another.
  func probabilities(of values: [Float], rows: Int) throws(NumbersError) -> [Float] {
    try answers(to: values, rows: rows, .probabilities)
  }

  func answers(to values: [Float], rows: Int, _ answer: Answer) throws(NumbersError) -> [Float] {
    let workspace = AlignedBuffer(byteCount: workspaceBytes)
    var scores = try scores(of: values, rows: rows, workspace)
    guard answer == .probabilities else { return scores }
    scores.withUnsafeMutableBufferPointer { scores in
      guard let scores = scores.baseAddress else { return }
      probabilities(logits: scores, logitsStride: outputs, rows: rows, output: scores, outputStride: outputs)
    }
    return scores
  }

  /// The last layer's numbers.
  ///
  /// Invariant of the unsafe code: `values` are `rows × inputs`, and `workspace` has `workspaceBytes`.
  func scores(
    of values: [Float], rows: Int, _ workspace: borrowing AlignedBuffer
  ) throws(NumbersError) -> [Float] {
    precondition(values.count == rows * inputs, "the rows are the model's")
    let memory = workspace.baseAddress
    var scores = [Float](repeating: 0, count: rows * outputs)
    func compute(_ input: UnsafeRawPointer) throws(NumbersError) {
      let result: Result<Void, GraphError> = scores.withUnsafeMutableBufferPointer { scores in
        guard let scores = scores.baseAddress else { return .success(()) }
        return Result { () throws(GraphError) in
          try logits(
            input: input, inputStride: inputs, rows: rows, output: scores, outputStride: outputs,
            workspace: memory)
        }
      }
      if case .failure(let error) = result { throw .refused(error.description) }
    }
    if inputElement == .float32 {
      let failure: NumbersError? = values.withUnsafeBytes { values in
        guard let start = values.baseAddress else { return nil }
        do throws(NumbersError) { try compute(start) } catch { return error }
        return nil
      }
      if let failure { throw failure }
    } else {
      let input = AlignedBuffer(byteCount: values.count * inputElement.byteCount)
      try store(values, to: input.baseAddress)
      try compute(input.baseAddress)
    }
    return scores
  }

  /// Writes numbers as elements of the model's type.
  ///
  /// Invariant of the unsafe code: `memory` has room for all of them.
  func store(_ values: [Float], to memory: UnsafeMutableRawPointer) throws(NumbersError) {
    guard inputElement != .float32 else {
      return values.withUnsafeBytes { values in
        if let start = values.baseAddress { memory.copyMemory(from: start, byteCount: values.count) }
      }
    }
    for (place, value) in values.enumerated() {
      guard inputElement.store(value, at: place, of: memory) else { throw .notOfType(value, inputElement) }
    }
  }
}

extension ElementType {
  /// Writes a number as an element.
  ///
  /// - Returns: false where the type has no such number: a fraction among whole ones, or one out of range.
  ///
  /// Invariant: `memory` has room for that element.
  func store(_ value: Float, at place: Int, of memory: UnsafeMutableRawPointer) -> Bool {
    func store<Element: BitwiseCopyable>(_ element: Element?) -> Bool {
      guard let element else { return false }
      memory.storeBytes(of: element, toByteOffset: place * MemoryLayout<Element>.stride, as: Element.self)
      return true
    }
    switch self {
    case .float32: return store(value)
    case .float64: return store(Double(value))
    case .float16: return store(value.float16Bits)
    case .bfloat16: return store(value.bfloat16Bits)
    case .int8: return store(Int8(exactly: value))
    case .uint8: return store(UInt8(exactly: value))
    case .int16: return store(Int16(exactly: value))
    case .uint16: return store(UInt16(exactly: value))
    case .int32: return store(Int32(exactly: value))
    case .uint32: return store(UInt32(exactly: value))
    case .int64: return store(Int64(exactly: value))
    case .uint64: return store(UInt64(exactly: value))
    case .bool: return store(value == 0 ? UInt8(0) : value == 1 ? 1 : nil)
    default: return false
    }
  }

  /// An element as a float: the nearest one, where it has more digits.
  ///
  /// Invariant: `memory` covers that element.
  func float(at place: Int, of memory: UnsafeRawPointer) -> Float {
    func load<Element: BitwiseCopyable>(_: Element.Type) -> Element {
      memory.loadUnaligned(fromByteOffset: place * MemoryLayout<Element>.stride, as: Element.self)
    }
    switch self {
    case .float32: return load(Float.self)
    case .float64: return Float(load(Double.self))
    case .float16: return Float(float16: load(UInt16.self))
    case .bfloat16: return Float(bfloat16: load(UInt16.self))
    case .int8: return Float(load(Int8.self))
    case .uint8, .bool: return Float(load(UInt8.self))
    case .int16: return Float(load(Int16.self))
    case .uint16: return Float(load(UInt16.self))
    case .int32: return Float(load(Int32.self))
    case .uint32: return Float(load(UInt32.self))
    case .int64: return Float(load(Int64.self))
    case .uint64: return Float(load(UInt64.self))
    default: return .nan
    }
  }
}
