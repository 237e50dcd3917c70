/// A model as a graph of operators: what a file says, whatever its format, before anything is planned.
package struct Graph: Sendable {
  /// The index of a value in `values`.
  package typealias ValueID = Int

  /// A tensor that is given, constant or computed.
  package struct Value: Sendable {
    /// As in the file, for messages and for callers.
    package let name: String
    package var constant: Tensor?

    package init(name: String, constant: Tensor? = nil) {
      self.name = name
      self.constant = constant
    }
  }

  /// What a caller gives.
  package struct Input: Sendable {
    package let value: ValueID
    package let element: ElementType
    /// nil: a dimension that the file leaves open.
    package let shape: [Int?]

    package init(value: ValueID, element: ElementType, shape: [Int?]) {
      self.value = value
      self.element = element
      self.shape = shape
    }
  }

  package struct Node: Sendable {
    /// As in the file, or made from its operator and place.
    package let name: String
    package let operation: any Operator
    /// In the operator's order; nil for one that is left out.
    package var inputs: [ValueID?]
    /// nil: nobody reads it.
    package var outputs: [ValueID?]

    package init(name: String, operation: any Operator, inputs: [ValueID?], outputs: [ValueID?]) {
      self.name = name
      self.operation = operation
      self.inputs = inputs
      self.outputs = outputs
    }
  }

  package var values: [Value]
  package var inputs: [Input]
  package var outputs: [ValueID]
  /// Each reads only inputs, constants and outputs of nodes before it; each value has one source.
  package var nodes: [Node]

  /// - Throws: `GraphError` where a value has two sources or none, or is read before it is computed.
  package init(values: [Value], inputs: [Input], outputs: [ValueID], nodes: [Node]) throws(GraphError) {
    var isKnown = values.map { $0.constant != nil }
    for input in inputs {
      guard !isKnown[input.value] else { throw GraphError("\(values[input.value].name) is given twice") }
      isKnown[input.value] = true
    }
    for node in nodes {
      for case let value? in node.inputs where !isKnown[value] {
        throw GraphError(
          "node \(node.name) reads '\(values[value].name)', which nothing before it computes")
      }
      for case let value? in node.outputs {
        guard !isKnown[value] else {
          throw GraphError("node \(node.name) computes '\(values[value].name)', which is there already")
        }
        isKnown[value] = true
      }
    }
    for value in outputs where !isKnown[value] {
      throw GraphError("nothing computes the output '\(values[value].name)'")
    }
    guard !outputs.isEmpty else { throw GraphError("the graph has no output") }
    self.values = values
    self.inputs = inputs
    self.outputs = outputs
    self.nodes = nodes
  }

  /// The same with a value for each output that nobody reads.
  func withAllOutputs() -> Graph {
    var graph = self
    for node in nodes.indices {
      for (place, value) in nodes[node].outputs.enumerated() where value == nil {
        graph.nodes[node].outputs[place] = graph.values.count
        graph.values.append(Value(name: ""))
      }
    }
    return graph
  }
}
