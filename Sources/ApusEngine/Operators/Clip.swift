/// Clip: each number is brought between two bounds, either of which may be left out. Where the lower bound is
/// above the upper one, all become the upper one. They are attributes before opset 11, and scalars from then
/// on.
struct Clip: MapOperator {
  /// Before opset 11; nil: the bounds are inputs.
  let fixed: (low: Float, high: Float)?
  var name: String { "Clip" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "input")
    // Bounds of whole numbers came with inputs.
    let kinds: ElementKinds = fixed == nil ? .numbers : .reals
    try kinds.check(input.element)
    for case let bound? in inputs.dropFirst() {
      try inputs.sameElement(bound, as: input)
      guard bound.type.count == 1, bound.type.rank <= 1 else {
        throw GraphError("a bound is a scalar, not of shape \(bound.shape)")
      }
    }
    return [input.type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let input = try inputs.required(0)
    let work = Work(
      fixed: fixed, input: input, low: inputs.optional(1), high: inputs.optional(2), output: outputs[0])
    try work.run(on: input.type.element)
  }

  /// With fixed bounds.
  func map(_ input: TensorView, to output: MutableTensorView) throws(GraphError) {
    try Work(fixed: fixed, input: input, low: nil, high: nil, output: output).run(on: input.type.element)
  }

  /// The same with fixed bounds; nil where they are no constants, and for other elements than float32.
  func withConstantBounds(_ types: KernelTypes) -> Clip? {
    guard fixed == nil else { return self }
    guard types.isFloat32(0) else { return nil }
    func bound(_ input: Int, _ without: Float) -> Float? {
      let isThere = input < types.inputs.count && types.inputs[input] != nil
      return isThere ? types.floats(input)?[0] : without
    }
    guard let low = bound(1, -.infinity), let high = bound(2, .infinity) else { return nil }
    return Clip(fixed: (low, high))
  }

  private struct Work: ElementWork {
    let fixed: (low: Float, high: Float)?
    let input: TensorView
    let low: TensorView?
    let high: TensorView?
    let output: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) {
      if let fixed { clip(Element(fixed.low), Element(fixed.high)) } else { clip(Element.self) }
    }

    func integers<Element: IntegerElement>(_: Element.Type) { clip(Element.self) }

    private func clip<Element: OrderedElement>(_: Element.Type) {
      clip(low?.elements(Element.self)[0] ?? .lowest, high?.elements(Element.self)[0] ?? .highest)
    }

    @inline(__always)
    private func clip<Element: OrderedElement>(_ low: Element, _ high: Element) {
      input.replace(into: output) { (x: Element) in x.clamped(low, high) }
    }
  }

  static let entries = [
    OperatorEntry("Clip") { (node) throws(GraphError) in
      guard node.opset < 11 else {
        try node.check(inputs: 1...3)
        try node.attributes.only()
        return Clip(fixed: nil)
      }
      try node.check(inputs: 1...1)
      try node.attributes.only("min", "max")
      return Clip(
        fixed: (try node.attributes.float("min") ?? -.infinity, try node.attributes.float("max") ?? .infinity)
      )
    }
  ]
}
