import CApusKernels
import Glibc

/// The same elements in other places, for elements of any type: Transpose, Expand, Tile and Slice, whose
/// results are written in order, and the parts of Concat, Split and Pad.
struct Move: Sendable {
  /// Lane 0 has the strides of what is read, lane 1 those of what is written.
  let axes: [BatchAxis]
  var sourceStart = Extent(0)
  var targetStart = Extent(0)
  let elementBytes: Int

  /// Moves all elements for so many rows.
  ///
  /// Invariant: from their starts on, the axes stay within the elements that `source` and `target` cover.
  func run(rows: Int, from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer) {
    let walk = Walk(axes, rows: rows)
    let source = source + sourceStart.resolved(rows: rows) * elementBytes
    let target = target + targetStart.resolved(rows: rows) * elementBytes
    switch elementBytes {
    case 1: copy(UInt8.self, walk, source, target)
    case 2: copy(UInt16.self, walk, source, target)
    case 4:
      if !transpose(walk, source, target, UInt32.self, apus_transpose_4) {
        copy(UInt32.self, walk, source, target)
      }
    case 8:
      if !transpose(walk, source, target, UInt64.self, apus_transpose_8) {
        copy(UInt64.self, walk, source, target)
      }
    default: copy(SIMD2<UInt64>.self, walk, source, target)
    }
  }

  @inline(__always)
  private func copy<Bits: BitwiseCopyable>(
    _: Bits.Type, _ walk: Walk, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer
  ) {
    let source = source.assumingMemoryBound(to: Bits.self)
    let target = target.assumingMemoryBound(to: Bits.self)
    let (run, from, to) = (walk.run, walk.step[0], walk.step[1])
    // A call to copy costs more than a few elements do.
    let isLong = run * MemoryLayout<Bits>.stride >= 64
    walk.forEachRun { _, offsets in
      let (source, target) = (source + offsets[0], target + offsets[1])
      if from == 1, to == 1 {
        if isLong {
          target.update(from: source, count: run)
        } else {
          for index in 0..<run { target[index] = source[index] }
        }
      } else if from == 0, to == 1 {
        let value = source[0]
        for index in 0..<run { target[index] = value }
      } else {
        for index in 0..<run { target[index &* to] = source[index &* from] }
      }
    }
  }

  private typealias Transpose<Bits> = (
    Int, Int, UnsafePointer<Bits>?, Int, UnsafeMutablePointer<Bits>?, Int
  ) -> Void

  /// Where lines are written along which what is read lies apart, and lies together along another dimension:
  /// both are taken at once.
  @inline(__always)
  private func transpose<Bits: BitwiseCopyable>(
    _ walk: Walk, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _: Bits.Type,
    _ transpose: Transpose<Bits>
  ) -> Bool {
    guard walk.step[1] == 1, walk.step[0] > 1, let plane = walk.plane(whoseOuterStepIs: 1),
      plane.size >= 4, walk.run >= 4
    else { return false }
    let source = source.assumingMemoryBound(to: Bits.self)
    let target = target.assumingMemoryBound(to: Bits.self)
    plane.inner.forEachRun { _, offsets in
      transpose(
        walk.run, plane.size, source + offsets[0], walk.step[0], target + offsets[1], plane.strides[1])
    }
    return true
  }
}

/// Transpose, Expand, Tile and Slice.
struct MoveKernel: StepKernel {
  private let move: Move
  let description: String

  init?(_ rearrangement: Rearrangement, _ types: KernelTypes) {
    guard let input = types.inputs[0], let output = types.outputs.first else { return nil }
    let strides = Extent.strides(of: input.shape)
    var axes: [BatchAxis] = []
    switch rearrangement.form {
    case .transpose(let order):
      for axis in order ?? input.shape.indices.reversed() {
        guard input.shape.indices.contains(axis) else { return nil }
        axes.append(BatchAxis(size: input.shape[axis]))
        axes[axes.count - 1].strides.set(0, strides[axis])
      }
      guard axes.map(\.size) == output.shape else { return nil }
    case .expand:
      guard input.shape.count <= output.shape.count else { return nil }
      axes = BatchAxis.broadcasting([input.shape], to: output.shape)
    case .tile:
      guard !input.shape.contains(where: { $0.count == 0 }) else { return nil }
      for (axis, size) in output.shape.enumerated() {
        // Around each dimension lie its repeats, which go nowhere in the input.
        guard size.isPerRow == input.shape[axis].isPerRow else { return nil }
        axes.append(BatchAxis(size: Extent(size.count / input.shape[axis].count)))
        axes.append(BatchAxis(size: input.shape[axis]))
        axes[axes.count - 1].strides.set(0, strides[axis])
      }
    }
    self.init(axes, start: Extent(0), input.element, rearrangement.name)
  }

  init?(_ slicing: Slicing, _ types: KernelTypes) {
    guard let input = types.inputs[0], let output = types.outputs.first,
      let stretches = slicing.stretches(types), stretches.map(\.count) == output.shape.map(\.count)
    else { return nil }
    var axes: [BatchAxis] = []
    var start = Extent(0)
    for (axis, stride) in Extent.strides(of: input.shape).enumerated() {
      let stretch = stretches[axis]
      axes.append(BatchAxis(size: output.shape[axis]))
      // A step that is never taken may be any number.
      if stretch.count > 1 || output.shape[axis].isPerRow {
        axes[axis].strides.set(0, stride, times: stretch.step)
      }
      guard stretch.start > 0 else { continue }
      // Before it lies what grows with the batch, or not.
      guard start.count == 0 || start.isPerRow == stride.isPerRow else { return nil }
      start = Extent(start.count + stretch.start * stride.count, isPerRow: stride.isPerRow)
    }
    self.init(axes, start: start, input.element, slicing.name)
  }

  private init(_ axes: [BatchAxis], start: Extent, _ element: ElementType, _ name: String) {
    var axes = axes
    for (axis, stride) in Extent.strides(of: axes.map(\.size)).enumerated() {
      axes[axis].strides.set(1, stride)
    }
    move = Move(axes: axes, sourceStart: start, elementBytes: element.byteCount)
    description = name
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.address(0) else { return }
    move.run(rows: rows, from: input, to: run.outputAddress(0))
  }
}

extension Slicing {
  /// Where each dimension is cut; nil where that is not known, or hangs on the number of rows.
  func stretches(_ types: KernelTypes) -> [Stretch]? {
    guard let input = types.inputs[0] else { return nil }
    var found: [[Stretch]] = []
    for rows in [1, 7] {
      do throws(GraphError) {
        let known = try types.known(rows: rows)
        found.append(
          try Self.stretches(
            input.resolved(rows: rows), starts.required(known), ends.required(known), axes.read(known),
            steps.read(known)))
      } catch { return nil }
    }
    for (axis, size) in input.shape.enumerated() {
      let (one, seven) = (found[0][axis], found[1][axis])
      if size.isPerRow {
        let isWhole =
          one.start == 0 && one.step == 1 && one.count == size.count && seven.start == 0 && seven.step == 1
          && seven.count == 7 * size.count
        guard isWhole else { return nil }
      } else if one.start != seven.start || one.count != seven.count || one.step != seven.step {
        return nil
      }
    }
    return found[0]
  }
}

/// Concat, whose inputs are parts of the output along an axis, and Split, whose outputs are parts of the
/// input.
struct PartsKernel: StepKernel {
  private let moves: [Move]
  private let joins: Bool
  let description: String

  init?(_ join: Concatenation, _ types: KernelTypes) {
    guard let whole = types.outputs.first, !types.inputs.contains(where: { $0 == nil }) else { return nil }
    self.init(whole, types.inputs.compactMap { $0 }, axis: join.axis, joins: true, join.name)
  }

  init?(_ split: Splitting, _ types: KernelTypes) {
    guard let whole = types.inputs[0], types.outputs.count == split.parts else { return nil }
    self.init(whole, types.outputs, axis: split.axis, joins: false, split.name)
  }

  private init?(_ whole: BatchType, _ parts: [BatchType], axis: Int, joins: Bool, _ name: String) {
    guard let axis = whole.axis(axis), parts.allSatisfy({ $0.shape.count == whole.shape.count }) else {
      return nil
    }
    let (wholeLane, partLane) = joins ? (1, 0) : (0, 1)
    let strides = Extent.strides(of: whole.shape)
    var moves: [Move] = []
    var start = Extent(0)
    for part in parts {
      var axes = part.shape.map { BatchAxis(size: $0) }
      for (place, stride) in Extent.strides(of: part.shape).enumerated() {
        axes[place].strides.set(partLane, stride)
        axes[place].strides.set(wholeLane, strides[place])
      }
      moves.append(
        Move(
          axes: axes, sourceStart: joins ? Extent(0) : start, targetStart: joins ? start : Extent(0),
          elementBytes: whole.element.byteCount))
      let length = part.shape[axis] * strides[axis]
      guard start.count == 0 || length.count == 0 || start.isPerRow == length.isPerRow else { return nil }
      if length.count > 0 { start = Extent(start.count + length.count, isPerRow: length.isPerRow) }
    }
    self.moves = moves
    self.joins = joins
    description = name
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    for (part, move) in moves.enumerated() {
      guard let source = run.address(joins ? part : 0) else { continue }
      move.run(rows: rows, from: source, to: run.outputAddress(joins ? 0 : part))
    }
  }
}
