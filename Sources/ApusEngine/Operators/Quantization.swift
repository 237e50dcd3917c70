/// Whole numbers that stand for others by a scale and a zero point: (q - zero) · scale.
protocol QuantizedElement: TensorElement, FixedWidthInteger {}

extension Int8: QuantizedElement {}
extension UInt8: QuantizedElement {}
extension Int16: QuantizedElement {}
extension UInt16: QuantizedElement {}
extension Int32: QuantizedElement {}

extension QuantizedElement {
  /// The number that stands for `value`, which is in units of the scale: rounded, half to even, moved by the
  /// zero point and brought into range. What is not a number becomes the least.
  @inline(__always) init(rounding value: Float, zero: Self) {
    let moved = value.rounded(.toNearestOrEven) + Float(zero)
    // Bounds that a Float cannot hold, of 32-bit numbers, do not come here: they are only read.
    self = moved >= Float(Self.max) ? .max : moved > Float(Self.min) ? Self(moved) : .min
  }
}

/// How the elements of a tensor share scales and zero points.
struct QuantizationLayout {
  private enum Kind {
    case whole
    case axis(size: Int, inner: Int)
    /// Scales of a shape like the tensor's, with one for each block along an axis.
    case blocks(size: Int, inner: Int, block: Int, count: Int)
  }

  private let kind: Kind

  /// - Parameters:
  ///   - axis: of scales in one dimension, and of blocks.
  ///   - block: elements along the axis that share a scale; 0 without blocks.
  /// - Throws: `GraphError` where the scales' shape is not one for the tensor's.
  init(_ type: TensorType, scales: [Int], axis: Int, block: Int) throws(GraphError) {
    if scales.isEmpty || scales == [1] && block == 0 {
      kind = .whole
      return
    }
    let axis = try type.axis(axis)
    let inner = type.shape[(axis + 1)...].reduce(1) { $0 &* $1 }
    let size = type.shape[axis]
    if block > 0 {
      var wanted = type.shape
      wanted[axis] = size / block + (size % block > 0 ? 1 : 0)
      guard scales == wanted else {
        throw GraphError("scales of shape \(scales) are not one for each block of \(block) in \(type.shape)")
      }
      kind = .blocks(size: size, inner: inner, block: block, count: wanted[axis])
    } else {
      guard scales == [size] else {
        throw GraphError("scales of shape \(scales) are not one for each of axis \(axis) of \(type.shape)")
      }
      kind = .axis(size: size, inner: inner)
    }
  }

  /// The scale of an element of a tensor that is not empty.
  @inline(__always) func scale(_ index: Int) -> Int {
    switch kind {
    case .whole: 0
    case .axis(let size, let inner): index / inner % size
    case .blocks(let size, let inner, let block, let count):
      (index / (inner * size) * count + index / inner % size / block) * inner + index % inner
    }
  }
}

/// The attributes of QuantizeLinear and DequantizeLinear.
struct QuantizationAttributes {
  let axis: Int
  let block: Int
  /// nil: not said.
  let output: ElementType?

  init(_ node: NodeDescription, saturates: Bool) throws(GraphError) {
    let attributes = node.attributes
    switch node.opset {
    case ..<13: try attributes.only()
    case ..<19: try attributes.only("axis")
    case ..<21 where saturates: try attributes.only("axis", "saturate")
    case ..<21: try attributes.only("axis")
    case ..<23 where saturates: try attributes.only("axis", "block_size", "output_dtype", "saturate")
    case ..<23: try attributes.only("axis", "block_size")
    case _ where saturates:
      try attributes.only("axis", "block_size", "output_dtype", "precision", "saturate")
    default: try attributes.only("axis", "block_size", "output_dtype")
    }
    axis = try attributes.int("axis") ?? 1
    block = try attributes.int("block_size") ?? 0
    guard block >= 0 else { throw GraphError("block_size is \(block)") }
    guard [0, 1].contains(try attributes.int("precision") ?? 0) else {
      throw GraphError("a precision other than float32 is not computed with here")
    }
    switch try attributes.int("output_dtype") ?? 0 {
    case 0: output = nil
    case 1: output = .float32
    case 2: output = .uint8
    case 3: output = .int8
    case 4: output = .uint16
    case 5: output = .int16
    case let other: throw GraphError("the output_dtype \(other) is not computed here")
    }
  }
}
