/// The window that convolutions and pools move over an input's spatial dimensions, as attributes describe it.
struct SpatialWindow: Sendable {
  private enum Padding: Sendable {
    case explicit, sameUpper, sameLower, none
  }

  /// Most spatial dimensions that are computed with.
  static let maximumRank = 3
  /// Largest stride, dilation, pad and size of a kernel: products of two of them do not overflow.
  private static let maximumSize = Int(Int32.max)

  let kernel: [Int]?
  private let strides: [Int]?
  private let dilations: [Int]?
  private let pads: [Int]?
  private let padding: Padding
  private let isCeiling: Bool

  /// Reads `kernel_shape`, `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode`.
  ///
  /// - Throws: `GraphError` for values that no window has.
  init(_ attributes: Attributes) throws(GraphError) {
    kernel = try Self.sizes("kernel_shape", attributes, from: 1)
    strides = try Self.sizes("strides", attributes, from: 1)
    dilations = try Self.sizes("dilations", attributes, from: 1)
    pads = try Self.sizes("pads", attributes, from: 0)
    isCeiling = try attributes.flag("ceil_mode")
    switch try attributes.string("auto_pad") ?? "NOTSET" {
    case "NOTSET", "": padding = .explicit
    case "SAME_UPPER": padding = .sameUpper
    case "SAME_LOWER": padding = .sameLower
    case "VALID": padding = .none
    case let other: throw GraphError("auto_pad '\(other)' is not known")
    }
  }

  private static func sizes(
    _ name: String, _ attributes: Attributes, from minimum: Int
  ) throws(GraphError) -> [Int]? {
    let sizes = try attributes.ints(name)
    for size in sizes ?? [] where size < minimum || size > maximumSize {
      throw GraphError("\(name) has \(size), and holds numbers from \(minimum) to \(maximumSize)")
    }
    return sizes
  }

  /// The window on an input.
  ///
  /// - Parameters:
  ///   - sizes: the input's spatial dimensions.
  ///   - kernel: the window's, as many.
  /// - Throws: `GraphError` for more or fewer dimensions than are computed with, for attributes of other
  ///   ranks, and where the window is larger than the input.
  func placed(on sizes: [Int], kernel: [Int]) throws(GraphError) -> WindowPlaces {
    guard 1...Self.maximumRank ~= sizes.count else {
      throw GraphError("an input has 1 to \(Self.maximumRank) spatial dimensions, not \(sizes.count)")
    }
    guard self.kernel == nil || self.kernel == kernel, kernel.count == sizes.count,
      strides == nil || strides?.count == sizes.count,
      dilations == nil || dilations?.count == sizes.count,
      pads == nil || pads?.count == 2 * sizes.count
    else {
      throw GraphError(
        "kernel_shape, strides, dilations or pads are of another rank than the kernel \(kernel)")
    }
    var axes: [WindowAxis] = []
    for axis in sizes.indices { axes.append(try place(axis, sizes, kernel)) }
    return WindowPlaces(axes)
  }

  private func place(_ axis: Int, _ sizes: [Int], _ kernel: [Int]) throws(GraphError) -> WindowAxis {
    let input = sizes[axis]
    let size = kernel[axis]
    guard input <= TensorType.maximumCount, 1...Self.maximumSize ~= size else {
      throw GraphError("a kernel of \(size) cannot be moved over \(input)")
    }
    let stride = strides?[axis] ?? 1
    let dilation = dilations?[axis] ?? 1
    let extent = (size - 1) * dilation + 1
    var before = 0
    var after = 0
    switch padding {
    case .none: break
    case .explicit:
      before = pads?[axis] ?? 0
      after = pads?[sizes.count + axis] ?? 0
    case .sameUpper, .sameLower:
      let whole = max(0, ((input + stride - 1) / stride - 1) * stride + extent - input)
      before = padding == .sameUpper ? whole / 2 : whole - whole / 2
      after = whole - before
    }
    let room = input + before + after - extent
    guard room >= 0, input > 0 else {
      throw GraphError(
        "a kernel of \(size), dilated to \(extent), is larger than the input of \(input) with its pads")
    }
    var output = room / stride + 1
    // One more where a part of a window is left, unless that part lies in the end's pad alone.
    if isCeiling, room % stride > 0, output * stride < input + before { output += 1 }
    return WindowAxis(
      input: input, kernel: size, stride: stride, dilation: dilation, before: before, after: after,
      output: output)
  }
}

/// Where a window stands along one dimension.
struct WindowAxis {
  let input: Int
  let kernel: Int
  let stride: Int
  let dilation: Int
  /// Elements of padding.
  let before: Int
  let after: Int
  /// Places of the window.
  let output: Int

  /// A dimension that is not there.
  static let none = WindowAxis(
    input: 1, kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, output: 1)

  /// The input's index under the kernel's first element; below 0 in the padding.
  @inline(__always) func start(_ place: Int) -> Int { place * stride - before }

  /// The kernel's elements that lie on the input and not on its padding.
  @inline(__always) func kernelRange(_ place: Int) -> Range<Int> {
    let start = start(place)
    let lower = start < 0 ? min(kernel, (dilation - 1 - start) / dilation) : 0
    let upper = input > start ? min(kernel, (input - start + dilation - 1) / dilation) : 0
    return lower..<max(lower, upper)
  }

  /// How many of the kernel's elements lie on the input and its padding.
  @inline(__always) func paddedCount(_ place: Int) -> Int {
    min(kernel, (input + after - start(place) + dilation - 1) / dilation)
  }

  /// The places at which an element of the kernel lies on the input.
  @inline(__always) func outputRange(kernel index: Int) -> Range<Int> {
    let offset = index * dilation - before
    guard offset < input else { return 0..<0 }
    let lower = offset < 0 ? min(output, stride == 1 ? -offset : (stride - 1 - offset) / stride) : 0
    let upper = min(output, stride == 1 ? input - offset : (input - offset + stride - 1) / stride)
    return lower..<max(lower, upper)
  }
}

/// A window over 1 to 3 spatial dimensions, as one over 3.
struct WindowPlaces {
  let depth: WindowAxis
  let height: WindowAxis
  let width: WindowAxis
  /// Sizes of the output.
  let outputShape: [Int]

  init(_ axes: [WindowAxis]) {
    let padded = Array(repeating: WindowAxis.none, count: SpatialWindow.maximumRank - axes.count) + axes
    depth = padded[0]
    height = padded[1]
    width = padded[2]
    outputShape = axes.map(\.output)
  }

  // Elements of one channel; only where the tensors' types are checked, and not empty.

  var inputCount: Int { depth.input * height.input * width.input }
  var outputCount: Int { depth.output * height.output * width.output }
  var kernelCount: Int { depth.kernel * height.kernel * width.kernel }
}
