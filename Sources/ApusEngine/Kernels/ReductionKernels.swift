import CApusKernels

/// A tensor as one of three dimensions for any batch.
struct BatchAround: Sendable {
  private let outer: Extent
  private let size: Extent
  private let inner: Extent

  /// - Precondition: at most one of the dimensions grows with the batch.
  init(_ type: BatchType, _ first: Int, through last: Int) {
    (outer, size, inner) = type.around(first, through: last)
  }

  @inline(__always)
  func resolved(rows: Int) -> (outer: Int, size: Int, inner: Int) {
    (outer.resolved(rows: rows), size.resolved(rows: rows), inner.resolved(rows: rows))
  }
}

/// ReduceSum, ReduceMean, ReduceMax and ReduceMin along neighbouring axes.
struct ReductionKernel: StepKernel {
  private let reduction: apus_reduction
  private let around: BatchAround
  let description: String

  init?(_ reduction: Reduction, _ types: KernelTypes) {
    switch reduction.function {
    case .sum: self.reduction = apus_reduce_sum
    case .mean: self.reduction = apus_reduce_mean
    case .max: self.reduction = apus_reduce_max
    case .min: self.reduction = apus_reduce_min
    default: return nil
    }
    guard let input = types.inputs[0], let axes = reduction.neighbouringAxes(types) else { return nil }
    around = BatchAround(input, axes.lowerBound, through: axes.upperBound)
    description = reduction.name
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    let (outer, size, inner) = around.resolved(rows: rows)
    apus_reduce(reduction, outer, size, inner, input, run.output)
  }
}

extension Reduction {
  /// The axes that become one number, where they lie together; nil where they do not, or are not known.
  func neighbouringAxes(_ types: KernelTypes) -> ClosedRange<Int>? {
    guard let rank = types.inputs[0]?.shape.count, rank > 0,
      let known = try? types.known(rows: 1), let given = try? axes.read(known) ?? []
    else { return nil }
    if given.isEmpty { return isIdentityWithoutAxes ? nil : 0...rank - 1 }
    let places = given.map { $0 < 0 ? $0 + rank : $0 }.sorted()
    guard let first = places.first, let last = places.last, first >= 0, last < rank,
      last - first == places.count - 1
    else { return nil }
    return first...last
  }
}

/// ArgMax along the last axis.
struct ArgMaxKernel: StepKernel {
  private let around: BatchAround
  private let selectsLast: Bool
  let description: String

  init?(_ choice: ArgReduction, _ types: KernelTypes) {
    guard choice.function == .argMax, types.isFloat32(0), let input = types.inputs[0],
      let axis = input.axis(choice.axis), axis == input.shape.count - 1, input.shape[axis].count > 0
    else { return nil }
    around = BatchAround(input, axis, through: axis)
    selectsLast = choice.selectsLast
    description = choice.name
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    let (outer, size, _) = around.resolved(rows: rows)
    apus_arg_max(
      outer, size, input, selectsLast, run.outputAddress(0).assumingMemoryBound(to: CLongLong.self))
  }
}

/// Normalization along axes of which the last need not be the tensor's.
struct AxisNormKernel: StepKernel {
  private let around: BatchAround
  private let epsilon: Float
  private let hasScale: Bool
  private let hasBias: Bool
  let description: String

  init?(_ norm: AxisNormalization, _ types: KernelTypes) {
    guard let input = types.inputs[0], norm.axes.upperBound < input.shape.count,
      !input.shape[norm.axes].contains(where: \.isPerRow)
    else { return nil }
    around = BatchAround(input, norm.axes.lowerBound, through: norm.axes.upperBound)
    epsilon = norm.epsilon
    hasScale = types.inputs.count > 1 && types.inputs[1] != nil
    hasBias = types.inputs.count > 2 && types.inputs[2] != nil
    description = norm.name
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    let (outer, size, inner) = around.resolved(rows: rows)
    let (scale, bias) = (hasScale ? run.floats(1) : nil, hasBias ? run.floats(2) : nil)
    if inner == 1 {
      apus_layer_norm(outer, size, input, size, epsilon, scale, bias, run.output, size)
    } else {
      apus_axis_norm(outer, size, inner, input, epsilon, scale, bias, run.output)
    }
  }
}

/// The greatest values of an activation along axes: those of the least and the greatest number, as between
/// them the function is nowhere greater.
struct ActivatedMaximumKernel: StepKernel {
  private let around: BatchAround
  private let activation: FusedActivation
  private let count: Extent
  let description: String

  init?(_ maximum: ActivatedMaximum, _ types: KernelTypes) {
    guard let input = types.inputs[0], maximum.axes.upperBound < input.shape.count else { return nil }
    around = BatchAround(input, maximum.axes.lowerBound, through: maximum.axes.upperBound)
    activation = maximum.activation
    count = types.outputCount
    description = "\(maximum.name) \(activation.name)"
  }

  /// One value of the least numbers for each output.
  func scratchBytes(rows: Int) -> Int { 4 * count.resolved(rows: rows) }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    let (outer, size, inner) = around.resolved(rows: rows)
    let (count, output) = (count.resolved(rows: rows), run.output)
    let least = run.scratch.assumingMemoryBound(to: Float.self)
    apus_extremes(outer, size, inner, input, least, output)
    activation.applyQuickly(least, count)
    activation.applyQuickly(output, count)
    apus_pairs(apus_pair_max, count, least, false, output, false, output)
  }
}
