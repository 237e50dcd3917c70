package import ApusEngine
/// The formats of weight files that are read.
package enum WeightFormat: String, Sendable, CaseIterable {
  /// What `torch.save` writes since PyTorch 1.6: a zip archive.
  case pytorch
  /// What `torch.save` wrote before, and still writes with `_use_new_zipfile_serialization=False`.
  case pytorchLegacy = "pytorch-legacy"
  case safetensors
}

/// Tensors under their names, in the file's order.
///
/// The tensors read the file's bytes when asked for their numbers, so the bytes must stay as long as this
/// value is in use; what is made from it reads them longer only where there is an owner to keep them.
package struct StateDict {
  package let format: WeightFormat
  package let tensors: [WeightTensor]
  /// Size of the whole file: what is made from it may take only a fixed multiple of that.
  package let fileByteCount: Int
  /// What a person should know about how the file was read, a line each.
  package let notes: [String]
  /// Keeps the bytes where they are.
  var owner: (any AnyObject & Sendable)?

  init(format: WeightFormat, tensors: [WeightTensor], fileByteCount: Int, notes: [String] = []) {
    self.format = format
    self.tensors = tensors
    self.fileByteCount = fileByteCount
    self.notes = notes
  }

  /// The tensor of this name, or nil.
  package func tensor(named name: String) -> WeightTensor? { tensors.first { $0.name == name } }
}

/// One tensor of a weight file: a strided view into a storage.
///
/// Element (i, j, …) lies at element `offset + i·strides[0] + j·strides[1] + …` of the storage. The
/// initialiser checks that every element lies inside, and that there are no more elements than the file has
/// bytes, so that a small file cannot ask for a large allocation (a stride of 0 repeats elements).
package struct WeightTensor {
  package let name: String
  package let elementType: ElementType
  package let shape: [Int]
  /// Product of the shape; 1 for a scalar.
  package let elementCount: Int
  private let strides: [Int]
  private let offset: Int
  private let storage: FileBytes

  /// Largest number of dimensions: more than any layer's weights have, and a bound on the memory of a view.
  static let maximumRank = 8

  init(
    name: String, elementType: ElementType, shape: [Int], strides: [Int], offset: Int, storage: FileBytes,
    fileByteCount: Int
  ) throws(FormatError) {
    func problem(_ text: String) -> FormatError { .tensor(name: printable(name), problem: text) }
    guard shape.count <= Self.maximumRank else {
      throw problem("has \(shape.count) dimensions, at most \(Self.maximumRank) are read")
    }
    guard strides.count == shape.count else {
      throw problem("shape \(printable(shape)) and strides \(printable(strides)) differ in length")
    }
    guard offset >= 0, shape.allSatisfy({ $0 >= 0 }), strides.allSatisfy({ $0 >= 0 }) else {
      throw problem(
        "negative numbers in shape \(printable(shape)), strides \(printable(strides)) or offset \(offset)")
    }
    let size = elementType.byteCount
    guard let count = product(shape), count <= fileByteCount else {
      throw problem("shape \(printable(shape)) has more elements than the file has bytes (\(fileByteCount))")
    }
    guard let end = Self.end(shape: shape, strides: strides, offset: offset), end <= storage.count / size
    else {
      throw problem(
        "shape \(printable(shape)) with strides \(printable(strides)) and offset \(offset) reaches beyond "
          + "its storage of \(storage.count / size) elements")
    }
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.elementCount = count
    // A dimension of one element is never stepped over, and its stride may be any number.
    self.strides = zip(shape, strides).map { size, stride in size > 1 ? stride : 0 }
    self.offset = offset
    self.storage = storage
  }

  /// One past the last element used, or nil where the sum overflows; 0 for a tensor without elements.
  private static func end(shape: [Int], strides: [Int], offset: Int) -> Int? {
    if shape.contains(0) { return 0 }
    var last = offset
    for (size, stride) in zip(shape, strides) {
      let (reach, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
      let (sum, overflowOfSum) = last.addingReportingOverflow(reach)
      if overflow || overflowOfSum { return nil }
      last = sum
    }
    return last == .max ? nil : last + 1
  }

  /// The same tensor under another name.
  func renamed(_ name: String) -> WeightTensor { WeightTensor(name: name, copying: self) }

  private init(name: String, copying other: WeightTensor) {
    self.name = name
    elementType = other.elementType
    shape = other.shape
    elementCount = other.elementCount
    strides = other.strides
    offset = other.offset
    storage = other.storage
  }

  /// The numbers in row-major order: where they lie, if they lie there so, and else a copy.
  ///
  /// - Parameters:
  ///   - owner: keeps the file's bytes where they are; nil: nobody does for longer than this value lives.
  ///   - keepsHalf: whether 16 bits stay as they are; otherwise all become float32.
  /// - Throws: `FormatError.tensor` for complex and 8-bit floating-point elements, and for sizes that no
  ///   tensor of a graph has.
  func tensor(keptBy owner: (any AnyObject & Sendable)?, keepsHalf: Bool) throws(FormatError) -> Tensor {
    let isKept = elementType == .float32 || keepsHalf && elementType.isHalf
    do throws(GraphError) {
      let type = try TensorType(isKept ? elementType : .float32, shape)
      if isKept, let owner, let bytes = contiguousBytes { return Tensor(type, in: bytes, keeping: owner) }
      let tensor = Tensor(type)
      if isKept, elementType != .float32 {
        gather(UInt16.self, into: tensor.start.assumingMemoryBound(to: UInt16.self)) { $0 }
      } else {
        try gatherFloats(into: tensor.start.assumingMemoryBound(to: Float.self))
      }
      return tensor
    } catch { throw .tensor(name: printable(name), problem: error.description) }
  }

  /// The elements where they lie, if they lie one after the other, aligned.
  private var contiguousBytes: UnsafeRawBufferPointer? {
    var step = 1
    for (size, stride) in zip(shape, strides).reversed() where size > 1 {
      guard stride == step else { return nil }
      step *= size
    }
    let size = elementType.byteCount
    guard elementCount > 0, let part = storage.slice(at: offset * size, count: elementCount * size),
      let start = part.bytes.baseAddress, Int(bitPattern: start) % size == 0
    else { return nil }
    return part.bytes
  }

  /// Converts the numbers to Float, in row-major order.
  ///
  /// Invariant: `target` has room for `elementCount`.
  private func gatherFloats(into target: UnsafeMutablePointer<Float>) throws(GraphError) {
    switch elementType {
    case .float32: gather(UInt32.self, into: target) { Float(bitPattern: $0) }
    case .float64: gather(UInt64.self, into: target) { Float(Double(bitPattern: $0)) }
    case .float16: gather(UInt16.self, into: target) { Float(float16: $0) }
    case .bfloat16: gather(UInt16.self, into: target) { Float(bfloat16: $0) }
    case .int64: gather(Int64.self, into: target) { Float($0) }
    case .int32: gather(Int32.self, into: target) { Float($0) }
    case .int16: gather(Int16.self, into: target) { Float($0) }
    case .int8: gather(Int8.self, into: target) { Float($0) }
    case .uint64: gather(UInt64.self, into: target) { Float($0) }
    case .uint32: gather(UInt32.self, into: target) { Float($0) }
    case .uint16: gather(UInt16.self, into: target) { Float($0) }
    case .uint8: gather(UInt8.self, into: target) { Float($0) }
    case .bool: gather(UInt8.self, into: target) { $0 == 0 ? 0 : 1 }
    case .complex64, .complex128, .float8e4m3, .float8e5m2:
      throw GraphError("elements of type \(elementType.rawValue) are not read")
    }
  }

  /// Walks the view with an index per dimension, the last one innermost.
  @inline(__always)
  private func gather<Bits: FixedWidthInteger & BitwiseCopyable, Number>(
    _ type: Bits.Type, into target: UnsafeMutablePointer<Number>, _ convert: (Bits) -> Number
  ) {
    guard elementCount > 0 else { return }
    var place = 0
    let rowCount = shape.last ?? 1
    let rowStride = strides.last ?? 1
    var index = [Int](repeating: 0, count: max(0, shape.count - 1))
    var start = offset
    while true {
      for column in 0..<rowCount {
        guard let bits = storage.integer(at: (start + column * rowStride) * Bits.bitWidth / 8, as: type)
        else {
          preconditionFailure("the initialiser checked that every element lies in the storage")
        }
        target[place] = convert(bits)
        place += 1
      }
      var dimension = index.count - 1
      while dimension >= 0 {
        index[dimension] += 1
        start += strides[dimension]
        if index[dimension] < shape[dimension] { break }
        start -= shape[dimension] * strides[dimension]
        index[dimension] = 0
        dimension -= 1
      }
      if dimension < 0 { return }
    }
  }

  /// The numbers in row-major order, converted to Float.
  ///
  /// - Throws: as `tensor`.
  package func floats() throws(FormatError) -> [Float] {
    let tensor = try tensor(keptBy: nil, keepsHalf: false)
    return Array(tensor.view.elements(Float.self))
  }
}

/// The product of sizes that are not negative, or nil where it overflows.
func product(_ sizes: [Int]) -> Int? {
  if sizes.contains(0) { return 0 }
  var result = 1
  for size in sizes {
    let (next, overflow) = result.multipliedReportingOverflow(by: size)
    if overflow { return nil }
    result = next
  }
  return result
}
