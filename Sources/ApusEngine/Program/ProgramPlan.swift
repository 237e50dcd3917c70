/// What of a graph is run, and when and where each value lives.
struct ProgramPlan {
  private let graph: Graph
  private let typing: BatchTyping
  private let input: Graph.ValueID
  private let output: Graph.ValueID
  /// Those that the output hangs on and that are not the same for every batch, in order.
  private let nodes: [Graph.Node]
  /// Values that get a place in the arena, in the order of the requests for them.
  private let placed: [Graph.ValueID]
  /// By value: the steps that write it and read it last.
  private let lives: [Graph.ValueID: (first: Int, last: Int)]

  init(_ graph: Graph, _ typing: BatchTyping, input: Graph.ValueID, output: Graph.ValueID) {
    (self.graph, self.typing, self.input, self.output) = (graph, typing, input, output)
    nodes = Self.needed(graph, typing, output)
    var lives: [Graph.ValueID: (first: Int, last: Int)] = [:]
    var placed: [Graph.ValueID] = []
    for (step, node) in nodes.enumerated() {
      for case let value? in node.inputs { lives[value]?.last = step }
      for case let value? in node.outputs where value != output {
        lives[value] = (step, step)
        placed.append(value)
      }
    }
    self.lives = lives
    self.placed = placed
  }

  private static func needed(_ graph: Graph, _ typing: BatchTyping, _ output: Graph.ValueID) -> [Graph.Node] {
    var isNeeded = graph.values.map { _ in false }
    isNeeded[output] = true
    var nodes: [Graph.Node] = []
    for node in graph.nodes.reversed() {
      let isRead = node.outputs.contains { value in
        value.map { isNeeded[$0] && typing.known[$0] == nil } ?? false
      }
      guard isRead else { continue }
      nodes.append(node)
      for case let value? in node.inputs { isNeeded[value] = true }
    }
    return nodes.reversed()
  }

  func memory(rows: Int) -> MemoryPlan {
    MemoryPlan(
      placed.map { value in
        let life = lives[value] ?? (0, 0)
        return MemoryPlan.Request(
          byteCount: typing.types[value]?.byteCount(rows: rows) ?? 0, first: life.first, last: life.last)
      })
  }

  /// The steps, with the places of their operands; what a value that is read and not computed is, is known.
  func steps(_ memory: MemoryPlan) -> [any ProgramStep] {
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
    return nodes.map { node in
      PlainStep(
        name: node.name, operation: node.operation, inputs: node.inputs.map { $0.flatMap(operand) },
        outputs: node.outputs.compactMap { $0.flatMap(operand) })
    }
  }
}
