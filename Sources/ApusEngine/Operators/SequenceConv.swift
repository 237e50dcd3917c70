import Glibc

/// A convolution along the steps of sequences [N, steps, channels], with a function of each sum: what Conv
/// over one dimension is where channels lie together.
///
/// Inputs: X, weights [outputs, kernel · channels] whose numbers for one step lie together, and the bias
/// [outputs] where there is one, in float32. Output: [N, steps, outputs].
struct SequenceConv: Operator {
  let kernel: Int
  let stride: Int
  /// Steps of zeros before and behind.
  let before: Int
  let after: Int
  let activation: FusedActivation
  var name: String { "SequenceConv" }

  struct Places {
    let images: Int
    let steps: Int
    let channels: Int
    let outputSteps: Int
    let outputs: Int
    let kernel: Int
    let stride: Int
    let before: Int
    let after: Int

    var inputs: Int { kernel * channels }
    var isPadded: Bool { before > 0 || after > 0 }
    var paddedSteps: Int { before + steps + after }

    /// Copies a sequence between zeros.
    ///
    /// Invariant: `source` covers `steps` steps, `target` `paddedSteps`.
    func pad(_ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) {
      target.update(repeating: 0, count: before * channels)
      memcpy(target + before * channels, source, steps * channels * MemoryLayout<Float>.stride)
      (target + (before + steps) * channels).update(repeating: 0, count: after * channels)
    }
  }

  /// - Throws: `GraphError` where they do not fit.
  func places(_ input: [Int], _ weights: [Int]) throws(GraphError) -> Places {
    guard input.count == 3, weights.count == 2, kernel > 0, stride > 0, before >= 0, after >= 0 else {
      throw GraphError("sequences of shape \(input) do not go with weights of \(weights)")
    }
    // Checked as a tensor, so that no size is too large to be multiplied.
    let padded = try TensorType(.float32, [input[1] + before + after, max(input[2], 1)]).shape[0]
    let (inputs, overflow) = kernel.multipliedReportingOverflow(by: input[2])
    guard !overflow, weights[1] == inputs, padded >= kernel else {
      throw GraphError("sequences of shape \(input) do not go with weights of \(weights)")
    }
    return Places(
      images: input[0], steps: input[1], channels: input[2], outputSteps: (padded - kernel) / stride + 1,
      outputs: weights[0], kernel: kernel, stride: stride, before: before, after: after)
  }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (input, weights) = (try inputs.required(0, "X"), try inputs.required(1, "W"))
    guard input.element == .float32, weights.element == .float32 else {
      throw GraphError("sequences are of float32, not of \(input.element.rawValue)")
    }
    let places = try places(input.shape, weights.shape)
    if let bias = inputs.optional(2) {
      guard bias.element == .float32, bias.shape == [places.outputs] else {
        throw GraphError("a bias of shape \(bias.shape) does not fit \(places.outputs) outputs")
      }
    }
    return [try TensorType(.float32, [places.images, places.outputSteps, places.outputs])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (input, weights) = (try inputs.required(0), try inputs.required(1))
    let places = try places(input.type.shape, weights.type.shape)
    let bias = inputs.optional(2)?.elements(Float.self)
    guard outputs[0].type.count > 0 else { return }
    let product = MatrixProduct(
      rows: 1, inner: places.inputs, columns: places.outputs, isRightTransposed: true)
    let padded = Tensor(try TensorType(.float32, [places.paddedSteps, places.channels]))
    let patches = padded.mutableView.elements(Float.self).baseAddress.unsafelyUnwrapped
    let source = input.elements(Float.self).baseAddress.unsafelyUnwrapped
    var target = outputs[0].elements(Float.self).baseAddress.unsafelyUnwrapped
    for image in 0..<places.images {
      places.pad(source + image * places.steps * places.channels, into: patches)
      for step in 0..<places.outputSteps {
        product.multiply(
          PlainProductSum<Float>(bias: bias?.baseAddress), patches + step * places.stride * places.channels,
          weights.elements(Float.self).baseAddress.unsafelyUnwrapped, into: target)
        target += places.outputs
      }
    }
    activation.apply(outputs[0].elements(Float.self))
  }
}
