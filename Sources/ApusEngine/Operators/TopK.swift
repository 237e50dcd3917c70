/// TopK: the largest or smallest elements along an axis and where they are, in their order; of equal ones the
/// first come first. A NaN counts as larger than any number.
struct TopK: Operator {
  /// One number: an attribute before opset 10.
  let k: Parameter
  let axis: Int
  let isLargest: Bool
  var name: String { "TopK" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let data = try inputs.required(0, "X")
    try ElementKinds.numbers.check(data.element)
    let axis = try data.type.axis(axis)
    let numbers = try k.required(inputs)
    guard let k = numbers.first, numbers.count == 1 else {
      throw GraphError("K is one number, not \(numbers.count)")
    }
    guard (0...data.shape[axis]).contains(k) else {
      throw GraphError("K is from 0 to \(data.shape[axis]), not \(k)")
    }
    var shape = data.shape
    shape[axis] = k
    return [try TensorType(data.element, shape), try TensorType(.int64, shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let data = try inputs.required(0)
    let axis = try data.type.axis(axis)
    let work = Work(
      isLargest: isLargest, data: data, around: data.type.around(axis), k: outputs[0].type.shape[axis],
      values: outputs[0], indices: outputs[1])
    try work.run(on: data.type.element)
  }

  private struct Work: ElementWork {
    let isLargest: Bool
    let data: TensorView
    let around: (outer: Int, size: Int, inner: Int)
    let k: Int
    let values: MutableTensorView
    let indices: MutableTensorView

    func reals<Element: RealElement>(_: Element.Type) { select(Element.self) }
    func integers<Element: IntegerElement>(_: Element.Type) { select(Element.self) }

    @inline(__always)
    private func select<Element: OrderedElement>(_: Element.Type) {
      guard values.type.count > 0 else { return }
      if isLargest {
        select { (a: Element, b: Element) in a.isUnordered ? !b.isUnordered : a > b }
      } else {
        select { (a: Element, b: Element) in b.isUnordered ? !a.isUnordered : a < b }
      }
    }

    /// - Parameter goesFirst: whether one comes before another that is not equal to it.
    @inline(__always)
    private func select<Element: OrderedElement>(_ goesFirst: (Element, Element) -> Bool) {
      let source = data.elements(Element.self)
      let (values, indices) = (values.elements(Element.self), indices.elements(Int64.self))
      withUnsafeTemporaryAllocation(of: Int.self, capacity: k) { chosen in
        for outer in 0..<around.outer {
          for inner in 0..<around.inner {
            let start = outer * around.size * around.inner + inner
            let stride = around.inner
            Chosen(indices: chosen).fill(from: around.size) { a, b in
              let (left, right) = (source[start + a * stride], source[start + b * stride])
              return goesFirst(left, right) || (!goesFirst(right, left) && a < b)
            }
            for (place, index) in chosen.enumerated() {
              let target = (outer * k + place) * stride + inner
              values[target] = source[start + index * stride]
              indices[target] = Int64(index)
            }
          }
        }
      }
    }
  }

  static let entries = [
    OperatorEntry("TopK") { (node) throws(GraphError) in
      guard node.opset < 10 else {
        try node.check(inputs: 2...2, outputs: 2...2)
        if node.opset >= 11 {
          try node.attributes.only("axis", "largest", "sorted")
        } else {
          try node.attributes.only("axis")
        }
        return TopK(
          k: .input(1, "K"), axis: try node.attributes.int("axis") ?? -1,
          isLargest: try node.attributes.int("largest") != 0)
      }
      try node.check(inputs: 1...1, outputs: 2...2)
      try node.attributes.only("axis", "k")
      guard let k = try node.attributes.int("k") else { throw GraphError("the attribute 'k' is missing") }
      return TopK(k: .fixed([k]), axis: try node.attributes.int("axis") ?? -1, isLargest: true)
    }
  ]
}

/// The first few of many, found with a heap whose root is the last of them.
private struct Chosen {
  /// As many as are wanted, and at least one.
  let indices: UnsafeMutableBufferPointer<Int>

  /// Fills `indices` with those of `0..<count` that come first, in their order.
  @inline(__always)
  func fill(from count: Int, _ isBefore: (Int, Int) -> Bool) {
    let wanted = indices.count
    for index in 0..<wanted { indices[index] = index }
    for root in stride(from: wanted / 2 - 1, through: 0, by: -1) { sink(root, wanted, isBefore) }
    for index in wanted..<count where isBefore(index, indices[0]) {
      indices[0] = index
      sink(0, wanted, isBefore)
    }
    for end in stride(from: wanted - 1, to: 0, by: -1) {
      indices.swapAt(0, end)
      sink(0, end, isBefore)
    }
  }

  private func sink(_ root: Int, _ end: Int, _ isBefore: (Int, Int) -> Bool) {
    var root = root
    while true {
      var last = root
      for child in [2 * root + 1, 2 * root + 2] where child < end && isBefore(indices[last], indices[child]) {
        last = child
      }
      if last == root { return }
      indices.swapAt(root, last)
      root = last
    }
  }
}
