/// ArgMax and ArgMin: where along an axis the largest or smallest element is; of equal ones the first or the
/// last. A NaN is neither, unless it is the first.
struct ArgReduction: Operator {
  enum Function: String, CaseIterable {
    case argMax = "ArgMax"
    case argMin = "ArgMin"
  }

  let function: Function
  let axis: Int
  let keepsDimensions: Bool
  let selectsLast: Bool
  var name: String { function.rawValue }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let data = try inputs.required(0, "data")
    try ElementKinds.numbers.check(data.element)
    let axis = try data.type.axis(axis)
    var shape = data.shape
    if keepsDimensions { shape[axis] = 1 } else { shape.remove(at: axis) }
    let type = try TensorType(.int64, shape)
    guard data.shape[axis] > 0 || type.count == 0 else {
      throw GraphError("the axis \(axis) of \(data.shape) has nothing to choose from")
    }
    return [type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let data = try inputs.required(0)
    let work = Work(
      function: function, selectsLast: selectsLast, data: data,
      around: data.type.around(try data.type.axis(axis)),
      output: outputs[0])
    try work.run(on: data.type.element)
  }

  private struct Work: ElementWork {
    let function: Function
    let selectsLast: Bool
    let data: TensorView
    let around: (outer: Int, size: Int, inner: Int)
    let output: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) { choose(Element.self) }
    func integers<Element: IntegerElement>(_: Element.Type) { choose(Element.self) }

    @inline(__always)
    private func choose<Element: OrderedElement>(_: Element.Type) {
      switch (function, selectsLast) {
      case (.argMax, false): choose { (new: Element, old: Element) in new > old }
      case (.argMax, true): choose { (new: Element, old: Element) in new >= old }
      case (.argMin, false): choose { (new: Element, old: Element) in new < old }
      case (.argMin, true): choose { (new: Element, old: Element) in new <= old }
      }
    }

    @inline(__always)
    private func choose<Element: OrderedElement>(_ isBetter: (Element, Element) -> Bool) {
      let (values, found) = (data.elements(Element.self), output.elements(Int64.self))
      guard !values.isEmpty else { return }
      for outer in 0..<around.outer {
        for inner in 0..<around.inner {
          let start = outer * around.size * around.inner + inner
          var best = (index: 0, value: values[start])
          for index in 1..<max(around.size, 1) {
            let value = values[start + index * around.inner]
            if isBetter(value, best.value) { best = (index, value) }
          }
          found[outer * around.inner + inner] = Int64(best.index)
        }
      }
    }
  }

  static let entries = Function.allCases.map { function in
    OperatorEntry(function.rawValue) { (node) throws(GraphError) in
      try node.check(inputs: 1...1)
      if node.opset >= 12 {
        try node.attributes.only("axis", "keepdims", "select_last_index")
      } else {
        try node.attributes.only("axis", "keepdims")
      }
      return ArgReduction(
        function: function, axis: try node.attributes.int("axis") ?? 0,
        keepsDimensions: try node.attributes.int("keepdims") != 0,
        selectsLast: try node.attributes.flag("select_last_index"))
    }
  }
}
