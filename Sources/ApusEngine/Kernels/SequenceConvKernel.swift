import ApusBase
import CApusKernels

/// A convolution along one axis of sequences that lie step by step, as a product with packed weights: the
/// patch of a step lies in one piece, and that of the next one a stride behind it, so that nothing is laid
/// out.
struct SequenceConvKernel: StepKernel {
  private let places: SequenceConv.Places
  private let images: Extent
  private let packed: BufferOwner
  private let hasBias: Bool
  private let activation: KernelActivation

  init?(_ conv: SequenceConv, _ types: KernelTypes) {
    guard let input = types.inputs[0], let weights = types.inputs[1], let floats = types.floats(1),
      input.shape.count == 3, !input.shape.dropFirst().contains(where: \.isPerRow),
      let places = try? conv.places([1] + input.shape.dropFirst().map(\.count), weights.shape.map(\.count))
    else { return nil }
    self.places = places
    images = input.shape[0]
    guard places.inputs > 0, places.outputs > 0 else { return nil }
    packed = BufferOwner(floatCount: apus_linear_packed_floats(places.inputs, places.outputs))
    apus_linear_pack(floats, false, places.outputs, places.inputs, packed.floats)
    hasBias = types.inputs.count > 2 && types.inputs[2] != nil
    activation = KernelActivation(conv.activation)
  }

  /// A sequence with its padding, if it has one.
  func scratchBytes(rows: Int) -> Int { places.isPadded ? 4 * places.paddedSteps * places.channels : 0 }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    let bias = hasBias ? run.floats(2) : nil
    let scratch = run.scratch.assumingMemoryBound(to: Float.self)
    for image in 0..<images.resolved(rows: rows) {
      var source = input + image * places.steps * places.channels
      if places.isPadded {
        places.pad(source, into: scratch)
        source = UnsafePointer(scratch)
      }
      apus_linear(
        places.outputSteps, places.inputs, places.outputs, source, places.stride * places.channels,
        packed.floats,
        bias, activation.kind, activation.alpha, activation.beta,
        run.output + image * places.outputSteps * places.outputs, places.outputs)
    }
  }

  func reads(_ input: Int) -> Bool { input != 1 }

  var ownBytes: Int { packed.byteCount }

  var description: String {
    "SequenceConv \(places.channels) -> \(places.outputs), \(places.kernel) steps, packed"
  }
}
