import CApusKernels

/// Weights that are numbers of 16 bits: reading them takes half the time where they come from memory.
struct HalfWeights {
  let format: apus_half
  /// float16 or bfloat16, of the weights' shape.
  private let numbers: Tensor

  /// Weights of layers with fewer of them are in cache anyway.
  private static let fewest = 32 << 10

  /// - Returns: nil where 16 bits are not enough for all of them, and for few weights.
  init?(_ weights: Tensor) {
    guard weights.type.count >= Self.fewest else { return nil }
    switch weights.type.element {
    case .float16: (format, numbers) = (apus_half_float16, weights)
    case .bfloat16: (format, numbers) = (apus_half_bfloat16, weights)
    case .float32:
      guard let found = Self.narrowed(weights) else { return nil }
      (format, numbers) = found
    default: return nil
    }
  }

  private static func narrowed(_ weights: Tensor) -> (apus_half, Tensor)? {
    let values = weights.view.elements(Float.self)
    for (format, element) in [(apus_half_float16, ElementType.float16), (apus_half_bfloat16, .bfloat16)] {
      guard let type = try? TensorType(element, weights.type.shape) else { continue }
      let numbers = Tensor(type)
      let target = numbers.start.assumingMemoryBound(to: UInt16.self)
      if apus_half_narrow(values.count, values.baseAddress, format, target) { return (format, numbers) }
    }
    return nil
  }

  /// In the panels that the kernel reads.
  func packed(isTransposed: Bool, inputs: Int, outputs: Int) -> BufferOwner {
    let count = apus_linear_half_packed_count(inputs, outputs)
    let buffer = BufferOwner(floatCount: (count + 1) / 2)
    apus_linear_half_pack(
      numbers.start.assumingMemoryBound(to: UInt16.self), isTransposed, outputs, inputs,
      UnsafeMutableRawPointer(buffer.floats).assumingMemoryBound(to: UInt16.self))
    return buffer
  }
}

extension TensorView {
  /// Numbers of 16 bits as float32; nil for others.
  func widened() -> Tensor? {
    guard type.element.isHalf, let wide = try? TensorType(.float32, type.shape) else { return nil }
    let result = Tensor(wide)
    Casting(target: .float32).map(self, to: result.mutableView)
    return result
  }
}
