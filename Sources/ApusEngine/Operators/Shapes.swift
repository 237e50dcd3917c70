/// Shape and Size: what is known of a tensor, whatever its numbers are.
struct ShapeOf: Operator {
  /// The dimensions that are told; nil: the number of elements.
  let part: (start: Int, end: Int?)?
  var name: String { part == nil ? "Size" : "Shape" }
  let readsOnlyTypes = true

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let data = try inputs.required(0, "data").type
    return [try TensorType(.int64, part == nil ? [] : [dimensions(data).count])]
  }

  /// Both ends may count from the last dimension, and are brought among them.
  private func dimensions(_ type: TensorType) -> ArraySlice<Int> {
    func place(_ end: Int) -> Int { min(max(end < 0 ? end + type.rank : end, 0), type.rank) }
    let (start, end) = (place(part?.start ?? 0), place(part?.end ?? type.rank))
    return type.shape[start..<max(start, end)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let data = try inputs.required(0).type
    let output = outputs[0].elements(Int64.self)
    if part == nil {
      output[0] = Int64(data.count)
    } else {
      for (place, size) in dimensions(data).enumerated() { output[place] = Int64(size) }
    }
  }

  static let entries = [
    OperatorEntry("Shape") { (node) throws(GraphError) in
      try node.check(inputs: 1...1)
      if node.opset >= 15 { try node.attributes.only("start", "end") } else { try node.attributes.only() }
      return ShapeOf(part: (try node.attributes.int("start") ?? 0, try node.attributes.int("end")))
    },
    OperatorEntry("Size") { (node) throws(GraphError) in
      try node.check(inputs: 1...1)
      try node.attributes.only()
      return ShapeOf(part: nil)
    },
  ]
}

/// ConstantOfShape: one value everywhere in a tensor whose shape is an input.
struct ConstantOfShape: Operator {
  /// Of one element.
  let value: Tensor
  var name: String { "ConstantOfShape" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    [try TensorType(value.type.element, inputs.knownIntegers(0, "input"))]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) {
    let walk = Walk(outputs[0].type.shape, broadcasting: [])
    copyElements(value.type.element.byteCount, from: value.view.start, to: outputs[0].start, walk)
  }

  static let entries = [
    OperatorEntry("ConstantOfShape") { (node) throws(GraphError) in
      try node.check(since: 9, inputs: 1...1)
      try node.attributes.only("value")
      var value = try Tensor([0 as Float], [1])
      if let given = try node.attributes.tensor("value") { value = given }
      guard value.type.count == 1 else {
        throw GraphError("the value is one number, not \(value.type.count)")
      }
      return ConstantOfShape(value: value)
    }
  ]
}

/// Range: numbers from a start to before a limit, one delta apart.
struct NumberRange: Operator {
  var name: String { "Range" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let start = try inputs.required(0, "start")
    try ElementKinds.numbers.check(start.element)
    for (index, name) in ["start", "limit", "delta"].enumerated() {
      let input = try inputs.required(index, name)
      try inputs.sameElement(input, as: start)
      guard input.type.count == 1, input.type.rank <= 1 else {
        throw GraphError("\(name) is a scalar, not of shape \(input.shape)")
      }
      guard input.value != nil else {
        throw GraphError("\(name) must be a constant: the shape of what is computed hangs on it")
      }
    }
    let count = Count()
    try Work(inputs: inputs.map { $0?.value }, output: nil, count: count).run(on: start.element)
    return [try TensorType(start.element, [count.value])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    try Work(inputs: inputs, output: outputs[0], count: Count()).run(on: outputs[0].type.element)
  }

  private final class Count { var value = 0 }

  private struct Work: ElementWork {
    let inputs: [TensorView?]
    /// nil: the elements are only counted.
    let output: MutableTensorView?
    let count: Count

    func reals<Element: RealElement>(_: Element.Type) throws(GraphError) {
      let (start, limit, delta) = try bounds(Element.self)
      let steps = (Double(limit) - Double(start)) / Double(delta)
      // A NaN is refused here as well.
      guard steps < 0x1p62 else { throw GraphError("there is no way from \(start) to \(limit)") }
      count.value = steps > 0 ? Int(steps.rounded(.up)) : 0
      fill { Element($0) * delta + start }
    }

    func integers<Element: IntegerElement>(_: Element.Type) throws(GraphError) {
      let (start, limit, delta) = try bounds(Element.self)
      guard delta != 0 else { throw GraphError("there is no way from \(start) to \(limit)") }
      if (delta > 0) == (start < limit), start != limit {
        let distance = UInt64(start < limit ? limit.distance(from: start) : start.distance(from: limit))
        let step = UInt64(delta.magnitude)
        count.value = Int(clamping: (distance - 1) / step + 1)
      }
      fill { Element(truncatingIfNeeded: $0) &* delta &+ start }
    }

    private func bounds<Element: TensorElement>(
      _: Element.Type
    ) throws(GraphError) -> (Element, Element, Element) {
      (
        try inputs.required(0).elements(Element.self)[0], try inputs.required(1).elements(Element.self)[0],
        try inputs.required(2).elements(Element.self)[0]
      )
    }

    private func fill<Element: TensorElement>(_ value: (Int) -> Element) {
      guard let target = output?.elements(Element.self) else { return }
      for index in target.indices { target[index] = value(index) }
    }
  }

  static let entries = [
    OperatorEntry("Range") { (node) throws(GraphError) in
      try node.check(since: 11, inputs: 3...3)
      if node.opset >= 27 { try node.attributes.only("stash_type") } else { try node.attributes.only() }
      return NumberRange()
    }
  ]
}

extension FixedWidthInteger {
  /// How much it is above another one, which any two of them fit into.
  fileprivate func distance(from lower: Self) -> UInt64 {
    UInt64(truncatingIfNeeded: self) &- UInt64(truncatingIfNeeded: lower)
  }
}
