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
  /// Whether Winograd's transforms compute it, with weights packed for that.
  private let isWinograd: Bool

  init?(_ conv: Conv, hasAddend: Bool = false, _ activation: FusedActivation, _ types: KernelTypes) {
    guard let input = types.inputs[0], let weights = types.constants[1], let floats = types.floats(1),
      !input.shape.dropFirst().contains(where: \.isPerRow),
      let places = try? conv.convolution.places(
        input: [1] + input.shape.dropFirst().map(\.count), weights: weights.type.shape),
      let shape = apus_conv_shape(places)
    else { return nil }
    guard let (packed, isWinograd) = withUnsafePointer(to: shape, { Self.pack($0, floats) }) else {
      return nil
    }
    self.packed = packed
    self.isWinograd = isWinograd
    self.shape = shape
    images = input.shape[0]
    hasBias = types.inputs.count > 2 && types.inputs[2] != nil
    self.hasAddend = hasAddend
    self.activation = KernelActivation(activation)
  }

  private static func pack(
    _ shape: UnsafePointer<apus_conv_shape>, _ weights: UnsafePointer<Float>
  ) -> (packed: BufferOwner, isWinograd: Bool)? {
    let winogradFloats = shape.pointee.isQuickerByWinograd ? apus_winograd_packed_floats(shape) : 0
    let isWinograd = winogradFloats > 0
    let count = isWinograd ? winogradFloats : apus_conv_packed_floats(shape)
    guard count > 0 else { return nil }
    let packed = BufferOwner(floatCount: count)
    if isWinograd {
      apus_winograd_pack(shape, weights, packed.floats)
    } else {
      apus_conv_pack(shape, weights, packed.floats)
    }
    return (packed, isWinograd)
  }

  func scratchBytes(rows: Int) -> Int {
    let images = images.resolved(rows: rows)
    return 4
      * withUnsafePointer(to: shape) {
        isWinograd ? apus_winograd_scratch_floats($0, images) : apus_conv_scratch_floats($0, images)
      }
  }

  var toleratesChanges: Bool { true }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    withUnsafePointer(to: shape) { shape in
      (isWinograd ? apus_winograd : apus_conv)(
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
    return "Conv \(channels) -> \(outputs), \(kernel), \(isWinograd ? "winograd" : "packed")"
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

extension apus_conv_shape {
  /// Whether `apus_winograd` takes less time than `apus_conv`, for weights that are few beside the work: they
  /// take 16 / 9 of the memory. Its transforms cost as much as some 16 channels and outputs, and squares of
  /// 2 × 2 places may not reach far beyond the output.
  fileprivate var isQuickerByWinograd: Bool {
    let places = height.output * width.output
    let squares = (height.output + 1) / 2 * ((width.output + 1) / 2)
    return min(channels, outputs) >= 32 && places >= 14 * 14 && 16 * squares <= 5 * places
  }
}

extension apus_axis {
  init(_ axis: WindowAxis) {
    self.init(
      input: axis.input, kernel: axis.kernel, stride: axis.stride, dilation: axis.dilation,
      before: axis.before, after: axis.after, output: axis.output)
  }
}

extension WindowPlaces {
  /// Whether it moves over at most two dimensions.
  var isFlat: Bool { depth.input == 1 && depth.kernel == 1 && depth.output == 1 }
}
