/// Where: of two tensors, the element of the first where a third one says so; all three are broadcast
/// together.
struct Selection: Operator {
  var name: String { "Where" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let condition = try inputs.required(0, "condition")
    let (x, y) = (try inputs.required(1, "X"), try inputs.required(2, "Y"))
    guard condition.element == .bool else {
      throw GraphError("a condition is of bool, not of \(condition.element.rawValue)")
    }
    try inputs.sameElement(y, as: x)
    return [try TensorType(x.element, TensorType.broadcast([condition.shape, x.shape, y.shape]))]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (condition, output) = (try inputs.required(0), outputs[0])
    let (x, y) = (try inputs.required(1), try inputs.required(2))
    let walk = Walk(output.type.shape, broadcasting: condition.type.shape, x.type.shape, y.type.shape)
    Self.choose(
      output.type.element.byteCount, condition.start.assumingMemoryBound(to: TensorBool.self), x.start,
      y.start, to: output.start, walk)
  }

  /// Chooses elements of so many bytes.
  ///
  /// Invariant: the walk, whose lanes are those of the three inputs, stays within all of them.
  static func choose(
    _ byteCount: Int, _ condition: UnsafePointer<TensorBool>, _ x: UnsafeRawPointer, _ y: UnsafeRawPointer,
    to output: UnsafeMutableRawPointer, _ walk: Walk
  ) {
    let choice = Choice(condition: condition, x: x, y: y, output: output, walk: walk)
    switch byteCount {
    case 1: choice.select(UInt8.self)
    case 2: choice.select(UInt16.self)
    case 4: choice.select(UInt32.self)
    case 8: choice.select(UInt64.self)
    default: choice.select(SIMD2<UInt64>.self)
    }
  }

  /// Invariant: the walk stays within all of them, which have elements of one size.
  private struct Choice {
    let condition: UnsafePointer<TensorBool>
    let x: UnsafeRawPointer
    let y: UnsafeRawPointer
    let output: UnsafeMutableRawPointer
    let walk: Walk

    @inline(__always)
    func select<Bits: BitwiseCopyable>(_: Bits.Type) {
      let (x, y) = (x.assumingMemoryBound(to: Bits.self), y.assumingMemoryBound(to: Bits.self))
      let output = output.assumingMemoryBound(to: Bits.self)
      walk.forEach { place, offsets in
        output[place] = condition[offsets[0]].value ? x[offsets[1]] : y[offsets[2]]
      }
    }
  }

  static let entries = [
    OperatorEntry("Where") { (node) throws(GraphError) in
      try node.check(since: 9, inputs: 3...3)
      try node.attributes.only()
      return Selection()
    }
  ]
}
