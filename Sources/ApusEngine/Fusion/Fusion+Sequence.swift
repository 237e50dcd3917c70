/// Takes the Transpose away before a convolution over one dimension: where the channels of a step lie
/// together, a patch is one piece of memory, and the convolution a product. A Transpose behind it brings the
/// result into the old order.
///
/// - Throws: `GraphError` for constants that are too large.
func joinSequences(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() {
    if let nodes = try editor.sequenceConv(node) { editor.replace(node, with: nodes) }
  }
  editor.removeUnread()
}

extension GraphEditor {
  /// The nodes that do what a convolution of transposed sequences does.
  fileprivate mutating func sequenceConv(_ node: Int) throws(GraphError) -> [Graph.Node]? {
    let activated = graph.nodes[node].operation as? ActivatedConv
    guard activated?.hasAddend != true, let conv = activated?.conv ?? graph.nodes[node].operation as? Conv,
      let output = onlyOutput(of: node), let input = graph.nodes[node].inputs[0],
      let weights = constant(graph.nodes[node].inputs[1]), weights.type.element == .float32,
      let type = type(of: input), type.element == .float32, type.shape.count >= 3,
      !type.shape.dropFirst().contains(where: \.isPerRow),
      let places = try? conv.convolution.places(
        input: [1] + type.shape.dropFirst().map(\.count), weights: weights.type.shape),
      let axis = places.onlyAxis, places.groups == 1, axis.dilation == 1, places.channels > 1, axis.input > 1,
      let steps = stepsFirst(input, batch: type.shape[0], channels: places.channels, steps: axis.input)
    else { return nil }
    let operation = SequenceConv(
      kernel: axis.kernel, stride: axis.stride, before: axis.before, after: axis.after,
      activation: activated?.activation ?? .none)
    let batch = type.shape[0]
    func shape(_ first: Int, _ second: Int) -> BatchType {
      BatchType(element: .float32, shape: [batch, Extent(first), Extent(second)])
    }
    let name = graph.nodes[node].name
    let sequences = add(shape(axis.input, places.channels), named: "sequences")
    let products = add(shape(axis.output, places.outputs), named: "products")
    let turned = add(shape(places.outputs, axis.output), named: "turned")
    let flat = add(try weights.byStep(places), named: "weights by step")
    let bias = graph.nodes[node].inputs.count > 2 ? graph.nodes[node].inputs[2] : nil
    return [
      try reshape(steps, to: sequences, named: name),
      Graph.Node(name: name, operation: operation, inputs: [sequences, flat, bias], outputs: [products]),
      Graph.Node(
        name: name, operation: Rearrangement(form: .transpose([0, 2, 1]), name: "Transpose"),
        inputs: [products], outputs: [turned]),
      try reshape(turned, to: output, named: name),
    ]
  }

  /// What a value [batch, channels, steps] is a Transpose of, in which the channels of each step lie
  /// together.
  private func stepsFirst(
    _ value: Graph.ValueID, batch: Extent, channels: Int, steps: Int
  ) -> Graph.ValueID? {
    guard hasOneReader(value), let turned = sourceOfReshapes(value), hasOneReader(turned),
      let transpose = producer(of: turned, Rearrangement.self),
      case .transpose(let order) = transpose.operation.form,
      let source = graph.nodes[transpose.node].inputs[0], let shape = type(of: source)?.shape
    else { return nil }
    // Dimensions of size 1 lie anywhere.
    let kept = (order ?? shape.indices.reversed()).filter { shape[$0] != Extent(1) }
    let wanted = [batch, Extent(channels), Extent(steps)].filter { $0 != Extent(1) }
    guard kept.map({ shape[$0] }) == wanted, kept.count >= 2 else { return nil }
    // Channels and steps change places, and nothing else does.
    var sorted = kept.sorted()
    sorted.swapAt(sorted.count - 1, sorted.count - 2)
    return sorted == kept ? source : nil
  }
}

extension Convolution.Places {
  /// The dimension that the window moves along, where the others are of size 1 and not padded.
  fileprivate var onlyAxis: WindowAxis? {
    let axes = [window.depth, window.height, window.width].filter {
      $0.input != 1 || $0.kernel != 1 || $0.before != 0 || $0.after != 0
    }
    return axes.count == 1 ? axes[0] : nil
  }
}

extension Tensor {
  /// Weights [outputs, channels, kernel] as [outputs, kernel · channels].
  fileprivate func byStep(_ places: Convolution.Places) throws(GraphError) -> Tensor {
    let (channels, kernel) = (places.channels, places.window.kernelCount)
    let turned = Tensor(try TensorType(.float32, [places.outputs, kernel * channels]))
    let (source, target) = (view.elements(Float.self), turned.mutableView.elements(Float.self))
    for output in 0..<places.outputs {
      for channel in 0..<channels {
        for step in 0..<kernel {
          target[(output * kernel + step) * channels + channel] =
            source[(output * channels + channel) * kernel + step]
        }
      }
    }
    return turned
  }
}
