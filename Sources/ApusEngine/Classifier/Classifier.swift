/// A graph that gives each row a score for each class, and what makes probabilities of the scores.
package struct Classifier: Sendable {
  /// With one input and one output, of float32; constants are folded.
  package let graph: Graph
  package let head: OutputActivation
  /// That the file itself gives its classes; empty where it gives none.
  package let labels: [String]
  /// For a person, for example `64 -> 128 relu -> 10 softmax`.
  package let summary: String
  /// As the file calls them.
  package let inputName: String
  package let outputName: String
  /// Numbers that training set.
  package let parameters: Int
  package let inputElement: ElementType
  /// Of one input, without the batch.
  package let inputShape: [Int]
  /// Numbers in one input row.
  package let inputs: Int
  /// Classes.
  package let outputs: Int
  /// Whether the answer to a row hangs on the rows that are computed with it, as in networks that are
  /// quantised by the largest number of a batch: rows of different callers must not be.
  package let couplesRows: Bool
  /// What was assumed, a line each for a person.
  package let notes: [String]

  /// A network of layers.
  ///
  /// - Throws: `GraphError` for a layer that is too large to compute with.
  package init(_ network: Network) throws(GraphError) {
    try self.init(
      folded: network.graph(), outputName: "output", head: network.output, labels: [],
      summary: network.summary, notes: [])
  }

  /// What a file gives.
  ///
  /// - Parameters:
  ///   - inputShape: of one input, without the batch, where the file leaves it open; empty: as the file says.
  ///   - output: name of the output that counts; nil: the first one of floating point with a row for each
  ///     input.
  ///   - head: what makes probabilities of it; nil: as the graph ends.
  /// - Throws: `GraphError` for a graph that is no classifier, in words for whoever made it.
  package init(
    _ graph: Graph, inputShape: [Int] = [], output: String? = nil, head: OutputActivation? = nil
  ) throws(GraphError) {
    var graph = try graph.withInput(inputShape).withOpenBatch().folded()
    let typing = try BatchTyping(graph)
    graph.outputs = [try graph.scores(named: output, typing)]
    let outputName = graph.values[graph.outputs[0]].name
    graph = try graph.endingInWholeSoftmax()
    let labels = graph.labels()
    let ending = graph.ending(typing)
    let classes = try typing.rowCount(of: graph.outputs[0], graph)
    let assumed = ending.head ?? (classes == 1 ? .sigmoid : .softmax)
    var notes: [String] = []
    if let scores = ending.scores, head == nil || head == assumed { graph.outputs = [scores] }
    if ending.head == nil, head == nil {
      notes.append(
        "assumed output \(assumed.rawValue), as the graph ends in scores; "
          + "say `output: …` in model.yaml to change it")
    }
    graph = graph.pruned()
    let head = head ?? assumed
    try self.init(
      folded: graph.asFloat32(typing), outputName: outputName, head: head, labels: labels,
      summary: graph.summary + (head == .none ? "" : " \(head.rawValue)"), notes: notes)
  }

  private init(
    folded graph: Graph, outputName: String, head: OutputActivation, labels: [String], summary: String,
    notes: [String]
  ) throws(GraphError) {
    guard let input = graph.inputs.first, graph.inputs.count == 1 else {
      let names = graph.inputs.map { "'\(graph.values[$0.value].name)'" }.joined(separator: ", ")
      throw GraphError("the model takes \(graph.inputs.count) inputs (\(names)); one is served")
    }
    let typing = try BatchTyping(graph)
    self.graph = graph
    self.head = head
    self.labels = labels
    self.summary = summary
    self.notes = notes
    parameters = graph.parameterCount
    couplesRows = graph.couplesRows(typing)
    inputName = graph.values[input.value].name
    self.outputName = outputName
    inputElement = input.element
    inputShape = input.shape.dropFirst().compactMap { $0 }
    inputs = try typing.rowCount(of: input.value, graph)
    outputs = try typing.rowCount(of: graph.outputs[0], graph)
    guard labels.isEmpty || labels.count == outputs else {
      throw GraphError("the model has \(labels.count) labels for \(outputs) classes")
    }
  }
}
