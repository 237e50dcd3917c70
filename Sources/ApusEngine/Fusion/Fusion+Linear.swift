/// Makes `Linear` of Gemm, and of MatMul, with constant weights, and takes in the bias that is added.
func joinLinear(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() {
    let inputs = editor.graph.nodes[node].inputs
    guard inputs.count >= 2, let output = editor.onlyOutput(of: node), let weights = editor.matrix(inputs[1])
    else { continue }
    switch editor.graph.nodes[node].operation {
    case let gemm as Gemm
    where !gemm.isLeftTransposed && gemm.alpha == 1 && editor.constant(inputs[0]) == nil:
      let columns = weights.type.shape[gemm.isRightTransposed ? 0 : 1]
      var bias: Graph.ValueID?
      if inputs.count > 2, let addend = inputs[2], gemm.beta != 0 {
        guard gemm.beta == 1, let row = try editor.row(addend, columns) else { continue }
        bias = row
      }
      editor.replace(
        node, Linear(isTransposed: !gemm.isRightTransposed, activation: .none),
        inputs: [inputs[0], inputs[1], bias], output: output)
    case is MatMul where editor.constant(inputs[0]) == nil && editor.isBatch(inputs[0]):
      editor.replace(
        node, Linear(isTransposed: true, activation: .none), inputs: [inputs[0], inputs[1], nil],
        output: output)
    default: continue
    }
  }
  try takeInBiases(&editor)
}

private func takeInBiases(_ editor: inout GraphEditor) throws(GraphError) {
  for node in editor.nodes() {
    guard let add = editor.graph.nodes[node].operation as? Arithmetic, add.function == .add,
      let output = editor.onlyOutput(of: node)
    else { continue }
    let inputs = editor.graph.nodes[node].inputs
    for (place, other) in [(0, 1), (1, 0)] {
      guard let linear = editor.producer(of: inputs[place], Linear.self), editor.hasOneReader(inputs[place]),
        linear.operation.activation == .none, let addend = inputs[other]
      else { continue }
      let operands = editor.graph.nodes[linear.node].inputs
      guard operands[2] == nil, let weights = editor.constant(operands[1]),
        let bias = try editor.row(addend, weights.type.shape[linear.operation.isTransposed ? 1 : 0])
      else { continue }
      editor.remove(linear.node)
      editor.replace(node, linear.operation, inputs: [operands[0], operands[1], bias], output: output)
      break
    }
  }
}

extension GraphEditor {
  /// A constant matrix of float32.
  fileprivate func matrix(_ value: Graph.ValueID?) -> Tensor? {
    guard let tensor = constant(value), tensor.type.element == .float32, tensor.type.rank == 2 else {
      return nil
    }
    return tensor
  }

  /// Whether a value has rows: what is multiplied with a matrix may be a vector alone, too.
  fileprivate func isBatch(_ value: Graph.ValueID?) -> Bool {
    guard let value else { return false }
    return graph.inputs.first { $0.value == value }.map { $0.shape.count >= 2 } ?? true
  }

  /// A constant that is the same for each row, as a row of so many numbers; nil where it is none.
  mutating func row(_ value: Graph.ValueID, _ columns: Int) throws(GraphError) -> Graph.ValueID? {
    guard let tensor = constant(value), tensor.type.element == .float32,
      tensor.type.count == (tensor.type.shape.last ?? 1), [1, columns].contains(tensor.type.count)
    else { return nil }
    if tensor.type.shape == [columns] { return value }
    let numbers = tensor.view.elements(Float.self)
    let row = (0..<columns).map { numbers[numbers.count == 1 ? 0 : $0] }
    return add(try Tensor(row, [columns]), named: graph.values[value].name)
  }
}
