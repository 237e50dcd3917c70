/// Softmax and LogSoftmax along one axis, or before opset 13 over all dimensions from one on. A row with a
/// NaN or +∞, or with nothing but -∞, becomes all NaN.
struct SoftmaxOperator: Operator {
  let isLogarithm: Bool
  let axis: Int
  /// Whether the axes behind are part of a row.
  let isFlattened: Bool
  var name: String { isLogarithm ? "LogSoftmax" : "Softmax" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let type = try inputs.required(0, "input").type
    try ElementKinds.reals.check(type.element)
    _ = try type.axis(axis)
    return [type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let input = try inputs.required(0)
    var rows = input.type.around(try input.type.axis(axis))
    if isFlattened { rows = (rows.outer, rows.size * rows.inner, 1) }
    try Work(isLogarithm: isLogarithm, rows: rows, input: input, output: outputs[0]).run(
      on: input.type.element)
  }

  private struct Work: ElementWork {
    let isLogarithm: Bool
    let rows: (outer: Int, size: Int, inner: Int)
    let input: TensorView
    let output: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) {
      guard let source = input.elements(Element.self).baseAddress, input.type.count > 0,
        let target = output.elements(Element.self).baseAddress
      else { return }
      for outer in 0..<rows.outer {
        for inner in 0..<rows.inner {
          let start = outer * rows.size * rows.inner + inner
          normalize(source + start, target + start)
        }
      }
    }

    /// One row, whose elements lie `rows.inner` apart. No exponent is above 0, so that nothing overflows.
    @inline(__always)
    private func normalize<Element: RealElement>(
      _ source: UnsafePointer<Element>, _ target: UnsafeMutablePointer<Element>
    ) {
      let (size, stride) = (rows.size, rows.inner)
      var maximum = -Element.infinity
      for index in 0..<size where source[index * stride] > maximum { maximum = source[index * stride] }
      var sum = 0.0
      for index in 0..<size {
        let difference = source[index * stride] - maximum
        let power = Element.exponential(difference)
        target[index * stride] = isLogarithm ? difference : power
        sum += Double(power)
      }
      if isLogarithm {
        let logarithm = Element(Double.logarithm(sum))
        for index in 0..<size { target[index * stride] -= logarithm }
      } else {
        let scale = Element(1 / sum)
        for index in 0..<size { target[index * stride] *= scale }
      }
    }
  }

  static let entries = ["Softmax", "LogSoftmax"].map { name in
    OperatorEntry(name) { (node) throws(GraphError) in
      try node.check(inputs: 1...1)
      try node.attributes.only("axis")
      let isFlattened = node.opset < 13
      return SoftmaxOperator(
        isLogarithm: name == "LogSoftmax", axis: try node.attributes.int("axis") ?? (isFlattened ? 1 : -1),
        isFlattened: isFlattened)
    }
  }
}
