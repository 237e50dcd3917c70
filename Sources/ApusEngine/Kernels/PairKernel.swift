import CApusKernels

/// Add, Sub, Mul, Div, Max and Min of two tensors of float32 that are broadcast together.
struct PairKernel: StepKernel {
  private let pair: apus_pair
  /// Lane 0 has the strides of the first tensor, lane 1 those of the second.
  private let axes: [BatchAxis]
  let description: String

  init?(_ function: Arithmetic.Function, _ types: KernelTypes) {
    switch function {
    case .add: pair = apus_pair_add
    case .subtract: pair = apus_pair_subtract
    case .multiply: pair = apus_pair_multiply
    case .divide: pair = apus_pair_divide
    case .modulo: return nil
    }
    guard let axes = Self.axes(types) else { return nil }
    self.axes = axes
    description = function.rawValue
  }

  init?(_ function: Variadic.Function, _ types: KernelTypes) {
    switch function {
    case .max: pair = apus_pair_max
    case .min: pair = apus_pair_min
    case .sum: pair = apus_pair_add
    case .mean: return nil
    }
    guard let axes = Self.axes(types) else { return nil }
    self.axes = axes
    description = function.rawValue
  }

  private static func axes(_ types: KernelTypes) -> [BatchAxis]? {
    guard types.inputs.count == 2, types.isFloat32(1), let left = types.inputs[0], let right = types.inputs[1]
    else { return nil }
    return BatchAxis.broadcasting([left.shape, right.shape], to: types.outputs[0].shape)
  }

  var toleratesChanges: Bool { true }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let left = run.floats(0), let right = run.floats(1) else { return }
    let walk = Walk(axes, rows: rows)
    let (count, output) = (walk.run, run.output)
    // Along a run each tensor has a number for each place, or one for all: what is broadcast has no other
    // step.
    let (leftIsOne, rightIsOne) = (walk.step[0] == 0, walk.step[1] == 0)
    walk.forEachRun { place, offsets in
      apus_pairs(pair, count, left + offsets[0], leftIsOne, right + offsets[1], rightIsOne, output + place)
    }
  }
}

/// Where, which for elements of 4 bytes is quickest.
struct SelectKernel: StepKernel {
  private let elementBytes: Int
  /// Lanes have the strides of the condition and the two tensors.
  private let axes: [BatchAxis]
  let description = "Where"

  init?(_ types: KernelTypes) {
    guard types.inputs.count == 3, let condition = types.inputs[0], condition.element == .bool,
      let yes = types.inputs[1], let no = types.inputs[2], no.element == yes.element
    else { return nil }
    elementBytes = yes.element.byteCount
    axes = BatchAxis.broadcasting([condition.shape, yes.shape, no.shape], to: types.outputs[0].shape)
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let condition = run.address(0), let yes = run.address(1), let no = run.address(2) else { return }
    let walk = Walk(axes, rows: rows)
    guard elementBytes == 4 else {
      let condition = condition.assumingMemoryBound(to: TensorBool.self)
      return Selection.choose(elementBytes, condition, yes, no, to: run.outputAddress(0), walk)
    }
    select(
      condition.assumingMemoryBound(to: UInt8.self), yes.assumingMemoryBound(to: UInt32.self),
      no.assumingMemoryBound(to: UInt32.self),
      to: run.outputAddress(0).assumingMemoryBound(to: UInt32.self), walk)
  }

  private func select(
    _ condition: UnsafePointer<UInt8>, _ yes: UnsafePointer<UInt32>, _ no: UnsafePointer<UInt32>,
    to output: UnsafeMutablePointer<UInt32>, _ walk: Walk
  ) {
    let (count, step) = (walk.run, walk.step)
    walk.forEachRun { place, offsets in
      let (yes, no) = (yes + offsets[1], no + offsets[2])
      if step[0] == 1 {
        apus_select(count, condition + offsets[0], yes, step[1] == 0, no, step[2] == 0, output + place)
      } else {
        // One truth for all of a run.
        let (chosen, stride) = condition[offsets[0]] != 0 ? (yes, step[1]) : (no, step[2])
        for index in 0..<count { output[place + index] = chosen[index &* stride] }
      }
    }
  }
}
