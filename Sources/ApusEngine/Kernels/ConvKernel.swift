import ApusBase
import CApusKernels

/// A convolution over one or two dimensions, with weights that are packed once.
struct ConvKernel: StepKernel {
  private let shape: apus_conv_shape
  private let images: Extent
  private let packed: BufferOwner
  private let hasBias: Bool
  private let hasAddend: Bool
  private let activation: KernelActivation

  init?(_ conv: Conv, hasAddend: Bool = false, _ activation: FusedActivation, _ types: KernelTypes) {
    guard let input = types.inputs[0], let weights = types.constants[1], let floats = types.floats(1),
      !input.shape.dropFirst().contains(where: \.isPerRow),
      let places = try? conv.convolution.places(
        input: [1] + input.shape.dropFirst().map(\.count), weights: weights.type.shape),
      let shape = apus_conv_shape(places)
    else { return nil }
    let count = withUnsafePointer(to: shape) { apus_conv_packed_floats($0) }
    guard count > 0 else { return nil }
    let packed = BufferOwner(floatCount: count)
    withUnsafePointer(to: shape) { apus_conv_pack($0, floats, packed.floats) }
    self.packed = packed
    self.shape = shape
    images = input.shape[0]
    hasBias = types.inputs.count > 2 && types.inputs[2] != nil
    self.hasAddend = hasAddend
    self.activation = KernelActivation(activation)
  }

  func scratchBytes(rows: Int) -> Int {
    4 * withUnsafePointer(to: shape) { apus_conv_scratch_floats($0, images.resolved(rows: rows)) }
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    withUnsafePointer(to: shape) { shape in
      apus_conv(
        shape, images.resolved(rows: rows), input, packed.floats, hasBias ? run.floats(2) : nil,
        hasAddend ? run.floats(3) : nil, activation.kind, activation.alpha, activation.beta, run.output,
        run.scratch.assumingMemoryBound(to: Float.self))
    }
  }

  func reads(_ input: Int) -> Bool { input != 1 }

  var ownBytes: Int { packed.byteCount }

  var description: String {
    let kernel = "\(shape.height.kernel) x \(shape.width.kernel)"
    let (channels, outputs) = (shape.groups * shape.channels, shape.groups * shape.outputs)
    return "Conv \(channels) -> \(outputs), \(kernel), packed"
  }
}

extension apus_conv_shape {
  /// nil: over three dimensions.
  init?(_ places: Convolution.Places) {
    guard places.window.isFlat else { return nil }
    self.init(
      groups: places.groups, channels: places.channels / places.groups,
      outputs: places.outputs / places.groups,
      height: apus_axis(places.window.height), width: apus_axis(places.window.width))
  }
}

extension apus_axis {
  init(_ axis: WindowAxis) {
    self.init(
      input: axis.input, kernel: axis.kernel, stride: axis.stride, dilation: axis.dilation,
      before: axis.before,
      after: axis.after, output: axis.output)
  }
}

extension WindowPlaces {
  /// Whether it moves over at most two dimensions.
  var isFlat: Bool { depth.input == 1 && depth.kernel == 1 && depth.output == 1 }
}
