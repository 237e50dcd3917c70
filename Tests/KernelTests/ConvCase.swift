import CApusKernels

/// A convolution and what a reference makes of it.
struct ConvCase {
  /// Who computes it.
  enum Kind { case direct, winograd }

  var kind: Kind
  let shape: apus_conv_shape
  let images: Int
  let x: GuardedRows
  let weights: [Float]
  let bias: [Float]?
  let addend: [Float]?
  var activation: apus_activation
  let alpha: Float = -0.25
  let beta: Float = 0.75

  init(
    _ shape: apus_conv_shape, images: Int, kind: Kind = .direct,
    activation: apus_activation = apus_activation_none,
    hasBias: Bool = false, hasAddend: Bool = false, _ random: inout Random
  ) {
    self.shape = shape
    self.kind = kind
    self.images = images
    self.activation = activation
    let inputs = images * shape.groups * shape.channels * shape.height.input * shape.width.input
    x = GuardedRows(random.floats(inputs))
    weights = random.floats(
      shape.groups * shape.outputs * shape.channels * shape.height.kernel * shape.width.kernel)
    bias = hasBias ? random.floats(shape.groups * shape.outputs) : nil
    let outputs = images * shape.groups * shape.outputs * shape.height.output * shape.width.output
    addend = hasAddend ? random.floats(outputs) : nil
  }

  var outputCount: Int {
    images * shape.groups * shape.outputs * shape.height.output * shape.width.output
  }

  func packed() -> GuardedRows {
    withUnsafePointer(to: shape) { shape in
      switch kind {
      case .direct:
        let packed = GuardedRows(columns: apus_conv_packed_floats(shape))
        apus_conv_pack(shape, weights, packed.start)
        return packed
      case .winograd:
        let packed = GuardedRows(columns: apus_winograd_packed_floats(shape))
        apus_winograd_pack(shape, weights, packed.start)
        return packed
      }
    }
  }

  /// nil where something was written that is not the output or scratch memory.
  func computed(from packed: GuardedRows) -> GuardedRows? {
    withUnsafePointer(to: shape) { shape in
      let y = GuardedRows(columns: outputCount)
      let isDirect = kind == .direct
      let scratch = GuardedRows(
        columns: (isDirect ? apus_conv_scratch_floats : apus_winograd_scratch_floats)(shape, images))
      (isDirect ? apus_conv : apus_winograd)(
        shape, images, x.start, packed.start, bias, addend, activation, alpha, beta, y.start, scratch.start)
      return y.guardsAreWhole && scratch.guardsAreWhole && packed.guardsAreWhole ? y : nil
    }
  }

  private func activated(_ value: Double) -> Double {
    switch activation {
    case apus_activation_relu: max(0, value)
    case apus_activation_clip: min(Double(beta), max(Double(alpha), value))
    case apus_activation_leaky: value < 0 ? Double(alpha) * value : value
    default: value
    }
  }

  /// One sum in double precision, and the magnitudes of its parts.
  private func sum(
    _ weights: UnsafePointer<Float>, image: Int, output: Int, _ row: Int, _ column: Int
  ) -> (value: Double, size: Double) {
    let (height, width) = (shape.height, shape.width)
    let first = image * shape.groups * shape.channels + output / shape.outputs * shape.channels
    var (value, size) = (Double(bias?[output] ?? 0), 0.001)
    var place = output * shape.channels * height.kernel * width.kernel
    var channel = 0
    while channel < shape.channels {
      let plane = x.start + (first + channel) * height.input * width.input
      var inHeight = 0
      while inHeight < height.kernel {
        let line = row * height.stride + inHeight * height.dilation - height.before
        var inWidth = 0
        while inWidth < width.kernel {
          let at = column * width.stride + inWidth * width.dilation - width.before
          if line >= 0, line < height.input, at >= 0, at < width.input {
            let product = Double(plane[line * width.input + at]) * Double(weights[place])
            value += product
            size += product.magnitude
          }
          place += 1
          inWidth += 1
        }
        inHeight += 1
      }
      channel += 1
    }
    return (value, kind == .direct ? size : squareSize(weights, image: image, output: output, row, column))
  }

  /// What the parts of each sum of a square of 2 × 2 places may add up to: Winograd's transforms add and
  /// subtract those of all its inputs.
  private func squareSize(
    _ weights: UnsafePointer<Float>, image: Int, output: Int, _ row: Int, _ column: Int
  ) -> Double {
    let (height, width) = (shape.height, shape.width)
    var size = 0.001
    var channel = 0
    while channel < shape.channels {
      let plane = x.start + (image * shape.channels + channel) * height.input * width.input
      let window = weights + (output * shape.channels + channel) * 9
      var greatest: Float = 0
      var weight: Float = 0
      var place = 0
      while place < 16 {
        let line = row & ~1 + place / 4 - height.before
        let at = column & ~1 + place % 4 - width.before
        if line >= 0, line < height.input, at >= 0, at < width.input {
          greatest = max(greatest, plane[line * width.input + at].magnitude)
        }
        if place < 9 { weight += window[place].magnitude }
        place += 1
      }
      size += Double(greatest) * Double(weight)
      channel += 1
    }
    return size
  }

  /// The greatest error of each of some results, as `LinearTests` counts it.
  func errors(of results: [GuardedRows]) -> [Double] {
    var worst = results.map { _ in 0.0 }
    weights.withUnsafeBufferPointer { weights in
      var index = 0
      for image in 0..<images {
        for output in 0..<shape.groups * shape.outputs {
          for row in 0..<shape.height.output {
            for column in 0..<shape.width.output {
              let (value, size) = sum(
                weights.baseAddress.unsafelyUnwrapped, image: image, output: output, row, column)
              let added = Double(addend?[index] ?? 0)
              let exact = activated(value + added)
              for (place, y) in results.enumerated() {
                let error = (Double(y.start[index]) - exact).magnitude
                let bound = size + added.magnitude + value.magnitude + exact.magnitude
                worst[place] = max(worst[place], error.isNaN ? .infinity : error / bound * 0x1p24)
              }
              index += 1
            }
          }
        }
      }
    }
    return worst
  }
}

extension apus_axis {
  init(_ input: Int, _ kernel: Int, stride: Int = 1, dilation: Int = 1, before: Int = 0, after: Int = 0) {
    let room = input + before + after - ((kernel - 1) * dilation + 1)
    self.init(
      input: input, kernel: kernel, stride: stride, dilation: dilation, before: before, after: after,
      output: room / stride + 1)
  }

  /// Any window that fits.
  static func random(_ random: inout Random, input: ClosedRange<Int>, kernel: ClosedRange<Int> = 1...5)
    -> apus_axis
  {
    while true {
      let axis = apus_axis(
        random.integer(input), random.integer(kernel), stride: max(1, random.integer(-1...4)),
        dilation: max(1, random.integer(-2...3)), before: max(0, random.integer(-2...3)),
        after: max(0, random.integer(-2...3)))
      if (axis.kernel - 1) * axis.dilation < axis.input + axis.before + axis.after { return axis }
    }
  }

  var text: String {
    "\(input), kernel \(kernel), stride \(stride), dilation \(dilation), padding \(before) and \(after)"
  }
}
