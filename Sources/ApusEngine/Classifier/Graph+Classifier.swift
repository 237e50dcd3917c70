extension Graph {
  /// The same with sizes for those of the input that the file leaves open, but for the batch.
  func withInput(_ shape: [Int]) -> Graph {
    guard let input = inputs.first, inputs.count == 1, input.shape.count == shape.count + 1 else {
      return self
    }
    var graph = self
    let sizes = zip(input.shape.dropFirst(), shape).map { $0 ?? $1 }
    graph.inputs = [Input(value: input.value, element: input.element, shape: [input.shape[0]] + sizes)]
    return graph
  }

  /// The same with inputs of any number of rows where the file fixes one: exporters write the batch of their
  /// example unless they are told otherwise.
  ///
  /// - Throws: `GraphError` where the graph cannot be computed for another number of rows than a fixed one
  ///   above 1.
  func withOpenBatch() throws(GraphError) -> Graph {
    guard let first = inputs.first?.shape.first, let fixed = first else { return self }
    var open = self
    open.inputs = inputs.map { input in
      input.shape.first == fixed
        ? Input(value: input.value, element: input.element, shape: [nil] + input.shape.dropFirst()) : input
    }
    do throws(GraphError) {
      let typing = try BatchTyping(open.foldedButQuantisedWeights())
      guard outputs.contains(where: { typing.isRows($0) }) else {
        throw GraphError("no output has a row for each input")
      }
      return open
    } catch {
      guard fixed > 1 else { return self }
      throw GraphError(
        "the file fixes a batch of \(fixed) rows, and does not work with others: \(error.description)")
    }
  }

  /// The output that has the scores.
  ///
  /// - Throws: `GraphError` with the list of the outputs, where none is as it must be.
  func scores(named name: String?, _ typing: BatchTyping) throws(GraphError) -> ValueID {
    func isFloat(_ value: ValueID) -> Bool { typing.types[value]?.element.isFloatingPoint ?? false }
    let names = outputs.map { "'\(values[$0].name)'" }.joined(separator: ", ")
    if let name {
      guard let value = outputs.first(where: { values[$0].name == name }) else {
        throw GraphError("there is no output '\(name)'; there are \(names)")
      }
      guard isFloat(value), typing.isRows(value) else {
        throw GraphError("the output '\(name)' is no batch of rows of floating-point numbers")
      }
      return value
    }
    let fitting = outputs.filter { isFloat($0) && typing.isRows($0) }
    guard let value = fitting.first(where: { typing.types[$0]?.shape.count == 2 }) ?? fitting.first else {
      throw GraphError("none of the outputs (\(names)) is a batch of rows of floating-point numbers")
    }
    return value
  }

  /// How the graph ends: what makes probabilities of its scores, where it does so itself; nil for scores
  /// alone. `scores` is what goes into a softmax or sigmoid at the end.
  func ending(_ typing: BatchTyping) -> (head: OutputActivation?, scores: ValueID?) {
    guard let node = producer(behindShapesOf: outputs[0]) else { return (OutputActivation.none, nil) }
    switch node.operation {
    case let softmax as SoftmaxOperator:
      guard let input = node.inputs[0], let rank = typing.types[input]?.shape.count, rank == 2,
        softmax.axis == -1 || softmax.axis == 1
      else { return (OutputActivation.none, nil) }
      return (.softmax, softmax.isLogarithm ? nil : input)
    case let map as Elementwise where map.function == .sigmoid: return (.sigmoid, node.inputs[0])
    case is Gemm, is MatMul, is Linear, is Arithmetic, is Conv, is ActivatedConv, is QLinearMatMul,
      is DequantizeLinear:
      return (nil, nil)
    default: return (OutputActivation.none, nil)
    }
  }

  /// The node that computes a value, or what that value is but for its shape.
  private func producer(behindShapesOf value: ValueID) -> Node? {
    var value = value
    for node in nodes.reversed() where node.outputs.contains(value) {
      guard node.operation is Reshaping || node.operation is Identity || node.operation is Dropout,
        let input = node.inputs[0]
      else { return node }
      value = input
    }
    return nil
  }

  /// Labels of the classifier that the output comes from.
  func labels() -> [String] {
    var value = outputs[0]
    for node in nodes.reversed() where node.outputs.contains(value) {
      if let labelled = node.operation as? any LabelledOperator {
        switch labelled.classLabels {
        case .integers(let numbers): return numbers.map { String($0) }
        case .texts(let texts): return texts
        }
      }
      guard let input = node.inputs.first ?? nil else { return [] }
      value = input
    }
    return []
  }

  /// The same without nodes and constants that the outputs do not hang on.
  func pruned() -> Graph {
    var graph = self
    var isNeeded = values.map { _ in false }
    for output in outputs { isNeeded[output] = true }
    graph.nodes = []
    for node in nodes.reversed() where node.outputs.contains(where: { $0.map { isNeeded[$0] } ?? false }) {
      graph.nodes.append(node)
      for case let value? in node.inputs { isNeeded[value] = true }
    }
    graph.nodes.reverse()
    for value in values.indices where !isNeeded[value] { graph.values[value].constant = nil }
    return graph
  }

  /// The same with an output of float32.
  func asFloat32(_ typing: BatchTyping) throws(GraphError) -> Graph {
    guard let element = typing.types[outputs[0]]?.element, element != .float32 else { return self }
    var graph = self
    graph.values.append(Value(name: values[outputs[0]].name))
    graph.nodes.append(
      Node(
        name: "output", operation: Casting(target: .float32), inputs: [outputs[0]],
        outputs: [graph.values.count - 1]))
    graph.outputs = [graph.values.count - 1]
    return graph
  }

  /// Whether something is computed of all rows of a batch together: it does not grow with the batch.
  func couplesRows(_ typing: BatchTyping) -> Bool {
    func growsWithBatch(_ value: ValueID?) -> Bool {
      value.flatMap { typing.types[$0] }?.count.isPerRow ?? false
    }
    return nodes.contains { node in
      node.inputs.contains { growsWithBatch($0) }
        && node.outputs.contains { value in
          value.map { typing.known[$0] == nil && !growsWithBatch($0) } ?? false
        }
    }
  }

  /// Numbers in constants of floating point, in quantised weights, and in attributes of operators that are
  /// models themselves; but not scalars.
  var parameterCount: Int {
    let held = nodes.reduce(0) { $0 + $1.operation.parameterCount }
    return values.reduce(held) { sum, value in
      guard let type = value.constant?.type, type.rank > 0, type.element != .int64, type.element != .bool
      else {
        return sum
      }
      return sum + type.count
    }
  }

  /// Operators by how often they come, for a person: `Conv 2, Relu 2, Gemm 1`.
  var summary: String {
    var order: [String] = []
    var counts: [String: Int] = [:]
    for node in nodes {
      let name = node.operation.name
      if counts[name] == nil { order.append(name) }
      counts[name, default: 0] += 1
    }
    return order.prefix(12).map { "\($0) \(counts[$0] ?? 0)" }.joined(separator: ", ")
      + (order.count > 12 ? ", …" : "")
  }
}
