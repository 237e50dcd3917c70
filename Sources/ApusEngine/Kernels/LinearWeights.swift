import CApusKernels

/// The weights of a linear layer in the layouts that its kernels read.
///
/// Invariant of the unsafe code: each pointer that is there covers `inputs × outputs` numbers, or as many as
/// packing takes, for as long as its owner in `laid` lives.
struct LinearWeights: @unchecked Sendable {
  let inputs: Int
  let outputs: Int
  private var packed: UnsafePointer<Float>?
  private var packedHalf: (numbers: UnsafePointer<UInt16>, format: apus_half)?
  private var byOutput: UnsafePointer<Float>?
  private var byInput: UnsafePointer<Float>?
  private var laid: [Kernel.Layout: Laid] = [:]

  private struct Laid {
    let floats: UnsafePointer<Float>
    let owner: any AnyObject & Sendable
    let byteCount: Int
  }

  /// - Parameters:
  ///   - weights: of float32, or of 16 bits, which are widened.
  ///   - isTransposed: whether the weights are [inputs, outputs] and not [outputs, inputs].
  init(_ weights: Tensor, isTransposed: Bool) {
    let weights = weights.view.widened() ?? weights
    inputs = weights.type.shape[isTransposed ? 0 : 1]
    outputs = weights.type.shape[isTransposed ? 1 : 0]
    let floats = UnsafePointer(weights.start.assumingMemoryBound(to: Float.self))
    lay(
      isTransposed ? .byInput : .byOutput,
      Laid(floats: floats, owner: weights, byteCount: weights.type.byteCount))
  }

  /// Packed alone, 16 bits wide.
  ///
  /// - Returns: nil where that is no gain, or loses something.
  init?(halfOf weights: Tensor, isTransposed: Bool) {
    guard let half = HalfWeights(weights) else { return nil }
    inputs = weights.type.shape[isTransposed ? 0 : 1]
    outputs = weights.type.shape[isTransposed ? 1 : 0]
    let buffer = half.packed(isTransposed: isTransposed, inputs: inputs, outputs: outputs)
    laid[.packed] = Laid(floats: UnsafePointer(buffer.floats), owner: buffer, byteCount: buffer.byteCount)
    packedHalf = (UnsafeRawPointer(buffer.floats).assumingMemoryBound(to: UInt16.self), half.format)
  }

  var areHalf: Bool { packedHalf != nil }

  func isThere(_ layout: Kernel.Layout) -> Bool { laid[layout] != nil }

  var byteCount: Int { laid.values.reduce(0) { $0 + $1.byteCount } }

  private mutating func lay(_ layout: Kernel.Layout, _ memory: Laid?) {
    laid[layout] = memory
    switch layout {
    case .packed: packed = memory?.floats
    case .byOutput: byOutput = memory?.floats
    case .byInput: byInput = memory?.floats
    }
  }

  /// These layouts and no others; those that are missing are made.
  func with(_ layouts: Set<Kernel.Layout>) -> LinearWeights {
    var result = self
    for layout in Kernel.Layout.allCases where layouts.contains(layout) && !isThere(layout) {
      result.lay(layout, make(layout))
    }
    for layout in Kernel.Layout.allCases where !layouts.contains(layout) { result.lay(layout, nil) }
    return result
  }

  private func make(_ layout: Kernel.Layout) -> Laid {
    let isTransposed = byInput != nil
    let floats = (byInput ?? byOutput).unsafelyUnwrapped
    let buffer: BufferOwner
    if layout == .packed {
      buffer = BufferOwner(floatCount: apus_linear_packed_floats(inputs, outputs))
      apus_linear_pack(floats, isTransposed, outputs, inputs, buffer.floats)
    } else {
      buffer = BufferOwner(
        transposing: floats, rows: isTransposed ? inputs : outputs, columns: isTransposed ? outputs : inputs)
    }
    return Laid(floats: UnsafePointer(buffer.floats), owner: buffer, byteCount: buffer.byteCount)
  }

  /// What of it lies in memory of others is copied: they may change it.
  func owned() -> LinearWeights {
    var result = self
    for (layout, memory) in laid {
      guard let tensor = memory.owner as? Tensor else { continue }
      let copy = tensor.owned()
      let floats = UnsafePointer(copy.start.assumingMemoryBound(to: Float.self))
      result.lay(layout, Laid(floats: floats, owner: copy, byteCount: memory.byteCount))
    }
    return result
  }

  /// y = activation(W x + b) for any number of rows.
  ///
  /// Invariant: `input` and `output` cover `rows` rows, their strides apart, and do not overlap; `bias` is
  /// [outputs]. The kernel's layout is there.
  @inline(__always)
  func multiply(
    _ kernel: Kernel, rows: Int, input: UnsafePointer<Float>, inputStride: Int, bias: UnsafePointer<Float>?,
    activation: FusedActivation, output: UnsafeMutablePointer<Float>, outputStride: Int
  ) {
    if let packedHalf {
      let function = KernelActivation(activation)
      apus_linear_half(
        rows, inputs, outputs, input, inputStride, packedHalf.numbers, packedHalf.format, bias, function.kind,
        function.alpha, function.beta, output, outputStride)
    } else if let packed, kernel == .packed {
      let function = KernelActivation(activation)
      apus_linear(
        rows, inputs, outputs, input, inputStride, packed, bias, function.kind, function.alpha, function.beta,
        output, outputStride)
    } else {
      if kernel == .sgemv, outputs <= Self.fewOutputs, let byOutput {
        for row in 0..<rows {
          apus_dot_products(
            inputs, outputs, input + row * inputStride, byOutput, bias, output + row * outputStride)
        }
      } else {
        multiplyByBLAS(kernel, rows, input, inputStride, bias, output, outputStride)
      }
      guard activation != .none else { return }
      for row in 0..<rows { activation.applyQuickly(output + row * outputStride, outputs) }
    }
  }

  /// Up to so many outputs a row's dot products are our own: for those, calling BLAS costs more than they do.
  private static let fewOutputs = 8

  /// The bias is laid down first and BLAS adds to it: that costs what its own clearing of the output would.
  private func multiplyByBLAS(
    _ kernel: Kernel, _ rows: Int, _ input: UnsafePointer<Float>, _ inputStride: Int,
    _ bias: UnsafePointer<Float>?, _ output: UnsafeMutablePointer<Float>, _ outputStride: Int
  ) {
    for row in 0..<rows {
      if let bias {
        (output + row * outputStride).update(from: bias, count: outputs)
      } else {
        (output + row * outputStride).update(repeating: 0, count: outputs)
      }
    }
    let isTransposed = kernel.layout == .byInput
    let weights = (isTransposed ? byInput : byOutput).unsafelyUnwrapped
    if kernel.isPerRow {
      for row in 0..<rows {
        sgemv(
          inputs: inputs, outputs: outputs, input: input + row * inputStride, weights: weights,
          areTransposed: isTransposed, output: output + row * outputStride)
      }
    } else {
      sgemm(
        rows: rows, inputs: inputs, outputs: outputs, input: input, inputStride: inputStride,
        weights: weights, areTransposed: isTransposed, output: output, outputStride: outputStride)
    }
  }
}

/// A fused activation as the kernels take it.
struct KernelActivation: Sendable {
  let kind: apus_activation
  var alpha: Float = 0
  var beta: Float = 0

  @inline(__always)
  init(_ activation: FusedActivation) {
    switch activation {
    case .none: kind = apus_activation_none
    case .relu: kind = apus_activation_relu
    case .sigmoid: kind = apus_activation_sigmoid
    case .tanh: kind = apus_activation_tanh
    case .gelu: kind = apus_activation_gelu
    case .geluTanh: kind = apus_activation_gelu_tanh
    case .clip(let low, let high): (kind, alpha, beta) = (apus_activation_clip, low, high)
    case .leaky(let slope): (kind, alpha) = (apus_activation_leaky, slope)
    }
  }
}

extension FusedActivation {
  /// Replaces each number by the function of it.
  func applyQuickly(_ values: UnsafeMutablePointer<Float>, _ count: Int) {
    switch self {
    case .none: break
    case .relu: apus_relu(count, values, values)
    case .sigmoid: apus_sigmoid(count, values, values)
    case .tanh: apus_tanh(count, values, values)
    case .gelu: apus_gelu(count, values, values)
    case .geluTanh: apus_gelu_tanh(count, values, values)
    case .clip, .leaky: apply(UnsafeMutableBufferPointer(start: values, count: count))
    }
  }
}
