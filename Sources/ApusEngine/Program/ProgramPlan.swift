/// What of a graph is run, and when and where each value lives.
struct ProgramPlan {
  private let graph: Graph
  private let typing: BatchTyping
  private let input: Graph.ValueID
  private let output: Graph.ValueID
  /// Those that the output hangs on and that are not the same for every batch, in order.
  private let nodes: [Graph.Node]
  private let kernels: [any StepKernel]
  /// By value: the one in whose memory it lies, where that is not its own.
  private let aliases: [Graph.ValueID: Graph.ValueID]
  /// Values that get a place in the arena, in the order of the requests for them.
  private var placed: [Graph.ValueID] = []
  /// By value that has memory: the steps that write it and read it last.
  private var lives: [Graph.ValueID: (first: Int, last: Int)] = [:]
  /// By value: the constants that steps read while they run, in memory of their own.
  private let read: [Graph.ValueID: Tensor]
  /// Whether rows of input that lie apart are gathered in the arena first.
  let gathersInput: Bool
  /// Whether rows of output that shall lie apart are made in the arena first.
  let scattersOutput: Bool

  init(
    _ graph: Graph, _ typing: BatchTyping, input: Graph.ValueID, output: Graph.ValueID,
    planner: KernelPlanner?
  ) {
    (self.graph, self.typing, self.input, self.output) = (graph, typing, input, output)
    let needed = Self.needed(graph, typing, output, isPlain: planner == nil)
    let joined: (nodes: [Graph.Node], aliases: [Graph.ValueID: Graph.ValueID]) =
      planner == nil ? (needed, [:]) : Self.joined(needed, typing, input: input, output: output)
    let aliases = joined.aliases
    (nodes, self.aliases) = joined
    kernels = nodes.map { node in
      let types = KernelTypes(
        inputs: node.inputs.map { $0.flatMap { typing.types[$0] } },
        outputs: node.outputs.compactMap { $0.flatMap { typing.types[$0] } },
        constants: node.inputs.map { $0.flatMap { typing.known[$0] } })
      return planner.flatMap { quickKernel(node.operation, types, $0) }
        ?? PlainKernel(operation: node.operation, inputs: types.inputs, outputs: types.outputs)
    }
    read = Self.read(nodes, kernels, typing)
    var (takesInput, takesOutput) = (true, true)
    for (step, node) in nodes.enumerated() {
      let takesStrides = kernels[step].takesStrides
      for (place, value) in node.inputs.enumerated() {
        guard let value = value.map({ aliases[$0] ?? $0 }) else { continue }
        lives[value]?.last = step
        if value == input { takesInput = takesInput && takesStrides && place == 0 }
        if value == output { takesOutput = false }
      }
      for (place, value) in node.outputs.enumerated() {
        guard let value = value.map({ aliases[$0] ?? $0 }) else { continue }
        if value == output { takesOutput = takesOutput && takesStrides && place == 0 } else {
          lives[value] = (step, step)
          placed.append(value)
        }
      }
    }
    gathersInput = !takesInput
    scattersOutput = !takesOutput
  }

  /// The value in whose memory a value lies.
  private func owner(_ value: Graph.ValueID) -> Graph.ValueID { aliases[value] ?? value }

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

  /// Leaves out the nodes that give the same elements in another shape: the value lies where it lay.
  private static func joined(
    _ nodes: [Graph.Node], _ typing: BatchTyping, input: Graph.ValueID, output: Graph.ValueID
  ) -> (nodes: [Graph.Node], aliases: [Graph.ValueID: Graph.ValueID]) {
    var aliases: [Graph.ValueID: Graph.ValueID] = [:]
    var kept: [Graph.Node] = []
    for node in nodes {
      let operation = node.operation
      guard operation is Reshaping || operation is Identity || operation is ZipMap,
        let source = node.inputs[0], let result = node.outputs[0], typing.known[source] == nil
      else {
        kept.append(node)
        continue
      }
      let owner = aliases[source] ?? source
      if result != output {
        aliases[result] = owner
      } else if owner != input {
        // What is called the output is made there at once.
        for (alias, other) in aliases where other == owner { aliases[alias] = output }
        aliases[owner] = output
      } else {
        kept.append(node)
      }
    }
    return (kept, aliases)
  }

  /// Places for all values, for rows of input and output that lie apart, and for the scratch memory of each
  /// step.
  func memory(rows: Int) -> MemoryPlan {
    func request(_ value: Graph.ValueID, _ first: Int, _ last: Int) -> MemoryPlan.Request {
      MemoryPlan.Request(
        byteCount: typing.types[value]?.byteCount(rows: rows) ?? 0, first: first, last: last)
    }
    let values = placed.map { value in
      let life = lives[value] ?? (0, 0)
      return request(value, life.first, life.last)
    }
    let end = nodes.count
    let apart =
      (gathersInput ? [request(input, 0, end)] : []) + (scattersOutput ? [request(output, 0, end)] : [])
    let scratch = kernels.enumerated().map { step, kernel in
      MemoryPlan.Request(byteCount: kernel.scratchBytes(rows: rows), first: step, last: step)
    }
    return MemoryPlan(values + apart + scratch)
  }

  /// Where rows of input that lie apart are gathered, and those of output are made.
  func apart(_ memory: MemoryPlan) -> (input: Int, output: Int) {
    (memory.offsets[placed.count...].first ?? 0,
      memory.offsets[(placed.count + (gathersInput ? 1 : 0))...].first ?? 0)
  }

  /// The steps, with the places of their operands.
  func steps(_ memory: MemoryPlan) -> [ProgramStep] {
    var offsets: [Graph.ValueID: Int] = [:]
    for (value, offset) in zip(placed, memory.offsets) { offsets[value] = offset }
    func place(_ value: Graph.ValueID) -> Place {
      if let tensor = read[value] { return Place(base: .constant, offset: Int(bitPattern: tensor.start)) }
      if typing.known[value] != nil { return .nowhere }
      let owner = owner(value)
      if owner == input { return Place(base: .input, offset: 0) }
      if owner == output { return Place(base: .output, offset: 0) }
      return offsets[owner].map { Place(base: .arena, offset: $0) } ?? .nowhere
    }
    let scratch = memory.offsets.suffix(nodes.count)
    return zip(zip(nodes, kernels), scratch).map { step, scratchOffset in
      ProgramStep(
        name: step.0.name, kernel: step.1, inputs: step.0.inputs.map { $0.map(place) ?? .nowhere },
        outputs: step.0.outputs.compactMap { $0.map(place) }, scratchOffset: scratchOffset)
    }
  }

  /// What the steps read while they run: whoever keeps the steps keeps these.
  var constants: [Tensor] { Array(read.values) }

  private static func read(
    _ nodes: [Graph.Node], _ kernels: [any StepKernel], _ typing: BatchTyping
  ) -> [Graph.ValueID: Tensor] {
    var read: [Graph.ValueID: Tensor] = [:]
    for (node, kernel) in zip(nodes, kernels) {
      for case (let place, let value?) in zip(0..., node.inputs) where kernel.reads(place) {
        read[value] = read[value] ?? typing.known[value]?.owned()
      }
    }
    return read
  }
}
