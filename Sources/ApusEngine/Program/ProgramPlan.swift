/// What of a graph is run, and when and where each value lives.
struct ProgramPlan {
  private let graph: Graph
  private let typing: BatchTyping
  private let input: Graph.ValueID
  private let output: Graph.ValueID
  /// Those that the output hangs on and that are not the same for every batch, in order.
  private let nodes: [Graph.Node]
  private let kernels: [any StepKernel]
  /// Values that get a place in the arena, in the order of the requests for them.
  private var placed: [Graph.ValueID] = []
  /// By value: the steps that write it and read it last.
  private var lives: [Graph.ValueID: (first: Int, last: Int)] = [:]

  init(
    _ graph: Graph, _ typing: BatchTyping, input: Graph.ValueID, output: Graph.ValueID, isPlain: Bool
  ) {
    (self.graph, self.typing, self.input, self.output) = (graph, typing, input, output)
    nodes = Self.needed(graph, typing, output, isPlain: isPlain)
    kernels = nodes.map { node in
      let types = KernelTypes(
        inputs: node.inputs.map { $0.flatMap { typing.types[$0] } },
        outputs: node.outputs.compactMap { $0.flatMap { typing.types[$0] } },
        constants: node.inputs.map { $0.flatMap { typing.known[$0] } })
      return (isPlain ? nil : quickKernel(node.operation, types)) ?? PlainKernel(operation: node.operation)
    }
    for (step, node) in nodes.enumerated() {
      for case let value? in node.inputs { lives[value]?.last = step }
      for case let value? in node.outputs where value != output {
        lives[value] = (step, step)
        placed.append(value)
      }
    }
  }

  private static func needed(
    _ graph: Graph, _ typing: BatchTyping, _ output: Graph.ValueID, isPlain: Bool
  ) -> [Graph.Node] {
    var isNeeded = graph.values.map { _ in false }
    isNeeded[output] = true
    var nodes: [Graph.Node] = []
    for node in graph.nodes.reversed() {
      let isRead = node.outputs.contains { value in
        value.map { isNeeded[$0] && typing.known[$0] == nil } ?? false
      }
      guard isRead else { continue }
      nodes.append(node)
      // To which shape is known: of the rest of a Reshape's inputs nothing is read.
      let read = !isPlain && node.operation is Reshaping ? node.inputs.prefix(1) : node.inputs[...]
      for case let value? in read { isNeeded[value] = true }
    }
    return nodes.reversed()
  }

  /// Places for all values, and behind them for the scratch memory of each step.
  func memory(rows: Int) -> MemoryPlan {
    let values = placed.map { value in
      let life = lives[value] ?? (0, 0)
      return MemoryPlan.Request(
        byteCount: typing.types[value]?.byteCount(rows: rows) ?? 0, first: life.first, last: life.last)
    }
    let scratch = kernels.enumerated().map { step, kernel in
      MemoryPlan.Request(byteCount: kernel.scratchBytes(rows: rows), first: step, last: step)
    }
    return MemoryPlan(values + scratch)
  }

  /// The steps, with the places of their operands.
  func steps(_ memory: MemoryPlan) -> [ProgramStep] {
    var locations: [Graph.ValueID: Location] = [input: .input]
    for (value, tensor) in typing.known.enumerated() {
      if let tensor { locations[value] = .constant(tensor) }
    }
    for (value, offset) in zip(placed, memory.offsets) { locations[value] = .arena(offset: offset) }
    locations[output] = .output
    func operand(_ value: Graph.ValueID) -> Operand? {
      guard let type = typing.types[value], let location = locations[value] else { return nil }
      return Operand(type: type, location: location)
    }
    return nodes.enumerated().map { index, node in
      ProgramStep(
        name: node.name, kernel: kernels[index], inputs: node.inputs.map { $0.flatMap(operand) },
        outputs: node.outputs.compactMap { $0.flatMap(operand) },
        scratchOffset: memory.offsets[placed.count + index])
    }
  }
}
