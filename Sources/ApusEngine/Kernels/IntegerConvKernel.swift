import CApusKernels

/// Convolutions of 8-bit numbers in two dimensions as products of matrices: some rows of an image's places at
/// a time, each place a row of the numbers that its kernel meets.
struct IntegerConvKernel: StepKernel {
  private enum Finish {
    case integers
    /// Scales for each channel, and what they are rounded to.
    case rounded(factors: BufferOwner, bias: Tensor?, to: Quantization)
  }

  private let name: String
  private let places: Convolution.Places
  private let images: Extent
  private let isSigned: Bool
  /// By group.
  private let weights: [IntegerWeights]
  /// nil: an input says it when it runs.
  private let zero: Int32?
  private let finish: Finish
  /// Rows of places that are computed together.
  private let lines: Int

  /// Places that are computed together, about: their numbers stay in cache.
  private static let blockPlaces = 192

  init?(_ conv: ConvInteger, _ types: KernelTypes) {
    let zero = types.inputs.count > 2 ? types.inputs[2] : nil
    guard zero == nil || zero?.count == Extent(1) else { return nil }
    self.init(
      conv.name, conv.convolution, types, weights: 1, zeros: 3,
      zero: zero == nil ? 0 : types.constants[2]?.integersOf8Bits[0], finish: .integers)
  }

  init?(_ conv: QLinearConv, _ types: KernelTypes) {
    guard types.inputs.count >= 8, let element = types.inputs[0]?.element,
      let input = Quantization(scale: types.constants[1], zero: types.constants[2], element: element),
      let output = Quantization(
        scale: types.constants[6], zero: types.constants[7], element: types.outputs[0].element),
      let scales = types.floats(4), let scaleCount = types.constants[4]?.type.count,
      let channels = types.inputs[3]?.shape.first?.count, [1, channels].contains(scaleCount),
      types.inputs.count < 9 || types.inputs[8] == nil || types.constants[8] != nil
    else { return nil }
    let factors = (0..<channels).map { input.scale * scales[scaleCount == 1 ? 0 : $0] / output.scale }
    self.init(
      conv.name, conv.convolution, types, weights: 3, zeros: 5, zero: input.zero,
      finish: .rounded(
        factors: BufferOwner(copying: factors),
        bias: types.inputs.count > 8 ? types.constants[8]?.owned() : nil,
        to: output))
  }

  private init?(
    _ name: String, _ convolution: Convolution, _ types: KernelTypes, weights place: Int, zeros: Int,
    zero: Int32?, finish: Finish
  ) {
    guard let input = types.inputs[0], let weights = types.constants[place], input.shape.count == 4,
      !input.shape.dropFirst().contains(where: \.isPerRow),
      let places = try? convolution.places(
        input: [1] + input.shape.dropFirst().map(\.count), weights: weights.type.shape),
      weights.type.count > 0, places.window.outputCount > 0,
      // Panels of weights would be mostly empty.
      places.outputs / places.groups >= 4,
      zeros >= types.inputs.count || types.inputs[zeros] == nil || types.constants[zeros] != nil
    else { return nil }
    let numbers = zeros < types.inputs.count ? types.constants[zeros]?.integersOf8Bits ?? [0] : [0]
    guard [1, places.outputs].contains(numbers.count) else { return nil }
    let (outputs, inputs) = (places.outputs / places.groups, weights.type.count / places.outputs)
    self.weights = (0..<places.groups).map { group in
      IntegerWeights(
        weights.start + group * outputs * inputs, isSigned: weights.type.element == .int8,
        isTransposed: false,
        outputs: outputs, inputs: inputs,
        zeros: numbers.count == 1 ? numbers : Array(numbers[group * outputs..<(group + 1) * outputs]))
    }
    self.name = name
    self.places = places
    self.zero = zero
    self.finish = finish
    images = input.shape[0]
    isSigned = input.element == .int8
    let width = max(1, places.window.width.output)
    lines = max(1, min(places.window.height.output, Self.blockPlaces / width))
  }

  private var blockPlaces: Int { lines * places.window.width.output }

  /// Sums, patches, and what a product needs.
  private var parts: (patches: Int, workspace: Int, end: Int) {
    let patches = (blockPlaces * places.outputs * MemoryLayout<Int32>.stride + 63) & ~63
    let workspace = patches + (blockPlaces * weights[0].inputs + 63) & ~63
    // Rounded numbers take the place of the patches.
    let rounded = patches + blockPlaces * places.outputs
    return (patches, workspace, max(rounded, workspace + weights[0].workspaceBytes(rows: blockPlaces)))
  }

  func scratchBytes(rows: Int) -> Int { parts.end }

  func reads(_ input: Int) -> Bool { input == 0 || input == 2 && zero == nil }

  var ownBytes: Int { weights.reduce(0) { $0 + $1.byteCount } }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.address(0) else { return }
    let zero = zero ?? run.integer(2, isSigned: isSigned)
    let height = places.window.height.output
    for image in 0..<images.resolved(rows: rows) {
      for line in stride(from: 0, to: height, by: lines) {
        let block = line..<min(line + lines, height)
        multiply(input + image * places.channels * places.window.inputCount, block, zero, run.scratch)
        write(image, block, run)
      }
    }
  }

  /// Sums of all channels for some rows of places: [places, channels].
  private func multiply(
    _ image: UnsafeRawPointer, _ lines: Range<Int>, _ zero: Int32, _ scratch: UnsafeMutableRawPointer
  ) {
    let parts = parts
    let sums = scratch.assumingMemoryBound(to: Int32.self)
    let patches = (scratch + parts.patches).assumingMemoryBound(to: UInt8.self)
    let channels = places.channels / places.groups
    for (group, weights) in weights.enumerated() {
      let source = (image + group * channels * places.window.inputCount).assumingMemoryBound(to: UInt8.self)
      places.layRows(
        of: source, channels: channels, lines: lines, padding: UInt8(truncatingIfNeeded: zero), into: patches)
      weights.multiply(
        rows: lines.count * places.window.width.output, patches, isSigned: isSigned, zero: zero,
        into: sums + group * weights.outputs, stride: places.outputs, workspace: scratch + parts.workspace)
    }
  }

  private func write(_ image: Int, _ lines: Range<Int>, _ run: borrowing StepRun) {
    let sums = run.scratch.assumingMemoryBound(to: Int32.self)
    let (count, outputs) = (lines.count * places.window.width.output, places.outputs)
    let first = image * outputs * places.window.outputCount + lines.lowerBound * places.window.width.output
    let target = UnsafeMutableRawPointer(run.output)
    switch finish {
    case .integers:
      turn(sums, count, to: target.assumingMemoryBound(to: Int32.self) + first)
    case .rounded(let factors, let bias, let quantization):
      if let bias = bias?.view.elements(Int32.self) {
        for place in 0..<count {
          for channel in 0..<outputs { sums[place * outputs + channel] &+= bias[channel] }
        }
      }
      var scaling = apus_integer_scaling()
      scaling.scale = 1
      scaling.factors = UnsafePointer(factors.floats)
      let floats = UnsafeMutableRawPointer(sums).assumingMemoryBound(to: Float.self)
      apus_integer_scale(count, outputs, sums, &scaling, floats)
      // Factors have the output's scale in them.
      var rounding = quantization.forKernels
      rounding.scale = 1
      let bytes = (run.scratch + parts.patches).assumingMemoryBound(to: UInt8.self)
      apus_quantize(count * outputs, floats, &rounding, bytes)
      turn(bytes, count, to: target.assumingMemoryBound(to: UInt8.self) + first)
    }
  }

  /// Rows of channels become channels of places.
  private func turn<Number>(
    _ rows: UnsafeMutablePointer<Number>, _ count: Int, to target: UnsafeMutablePointer<Number>
  ) {
    for channel in 0..<places.outputs {
      let line = target + channel * places.window.outputCount
      for place in 0..<count { line[place] = rows[place * places.outputs + channel] }
    }
  }

  var description: String {
    let (height, width) = (places.window.height.kernel, places.window.width.kernel)
    return "\(name) \(places.channels) -> \(places.outputs), \(height) x \(width), packed"
  }
}

extension Convolution.Places {
  /// Writes for each place of some rows of an image the numbers that its kernel meets, one place after the
  /// other.
  ///
  /// Invariant: `image` covers `channels` planes of two dimensions, `target` for each place as many bytes
  /// times the kernel's elements.
  fileprivate func layRows(
    of image: UnsafePointer<UInt8>, channels: Int, lines: Range<Int>, padding: UInt8,
    into target: UnsafeMutablePointer<UInt8>
  ) {
    let (height, width) = (window.height, window.width)
    let length = channels * window.kernelCount
    var element = 0
    for channel in 0..<channels {
      let plane = image + channel * window.inputCount
      for inHeight in 0..<height.kernel {
        for inWidth in 0..<width.kernel {
          let range = width.outputRange(kernel: inWidth)
          var place = target + element
          for row in lines {
            let line = row * height.stride - height.before + inHeight * height.dilation
            let isInside = line >= 0 && line < height.input && !range.isEmpty
            let inside = isInside ? range : 0..<0
            for column in 0..<inside.lowerBound { place[column * length] = padding }
            if isInside {
              let source = plane + line * width.input + inWidth * width.dilation - width.before
              for column in inside { place[column * length] = source[column * width.stride] }
            }
            for column in inside.upperBound..<width.output { place[column * length] = padding }
            place += width.output * length
          }
          element += 1
        }
      }
    }
  }
}
