import ApusBase
import ApusEngine
import ApusModels
import ApusServer
import ApusWire
import Testing

/// Calls of models that are more than a chain of layers: numbers that they do not allow, other types.
@Suite struct GraphCallTests {
  /// A table of three rows, of which the input's number picks one.
  static func lookup(_ element: ElementType) throws -> ServedModel {
    try MetricsServer.model("table", classifier(element))
  }

  static func classifier(_ element: ElementType) throws -> Classifier {
    var values = [Graph.Value(name: "x"), Graph.Value(name: "index"), Graph.Value(name: "table")]
    values[2].constant = try Tensor([1, 2, 3, 4, 5, 6] as [Float], [3, 2])
    values += [Graph.Value(name: "y"), Graph.Value(name: "z")]
    values.append(Graph.Value(name: "shape", constant: try Tensor([-1, 2] as [Int64], [2])))
    func node(
      _ name: String, _ inputs: [Int], _ output: Int, _ attributes: [String: Attributes.Attribute] = [:]
    ) throws -> Graph.Node {
      let description = NodeDescription(
        opset: 17, attributes: Attributes(attributes), inputs: inputs.count, outputs: 1)
      let operation = try OperatorTable.standard.make(name, domain: "", description)
      return Graph.Node(name: name, operation: operation, inputs: inputs, outputs: [output])
    }
    let nodes = try [
      node("Cast", [0], 1, ["to": .int(7)]), node("Gather", [2, 1], 3), node("Reshape", [3, 5], 4),
    ]
    let graph = try Graph(
      values: values, inputs: [Graph.Input(value: 0, element: element, shape: [nil, 1])], outputs: [4],
      nodes: nodes)
    return try Classifier(graph, head: OutputActivation.none)
  }

  @Test func numbersThatAModelDoesNotAllowAreRefusedAlone() throws {
    let server = try MetricsServer([Self.lookup(.float32)])
    let connection = try RawConnection(server.address)
    // One run of equal frames: the third leads beyond the table.
    let picks: [Float] = [0, 2, 7, 1, -9, 2]
    connection.send(picks.enumerated().flatMap { classifyFrame(UInt64($0 + 1), "table", [$1]) })
    for (place, pick) in picks.enumerated() {
      let answer = try #require(try connection.answer())
      #expect(answer.id == UInt64(place + 1))
      if (0...2).contains(pick) {
        #expect(answer.probabilities == [2 * pick + 1, 2 * pick + 2])
      } else {
        #expect(answer.status?.code == .invalidArgument && answer.status?.reason == "INPUT_REFUSED")
        #expect(answer.status?.message.hasPrefix("Gather: ") == true)
      }
    }
  }

  @Test func rowsOfOneCallAreRefusedTogether() throws {
    let server = try MetricsServer([Self.lookup(.float32)])
    let connection = try RawConnection(server.address)
    connection.send(classifyFrame(1, "table", [0, 1, 2], shape: [3, 1]))
    #expect(try connection.answer()?.probabilities == [1, 2, 3, 4, 5, 6])
    connection.send(classifyFrame(2, "table", [0, 7, 2], shape: [3, 1]))
    #expect(try connection.answer()?.status?.reason == "INPUT_REFUSED")
  }

  @Test func inputsAreOfTheModelsType() throws {
    let server = try MetricsServer([Self.lookup(.int32)])
    let connection = try RawConnection(server.address)
    let picks = [2, 0].map { Float(bitPattern: $0) }
    connection.send(classifyFrame(1, "table", picks, shape: [2, 1], dtype: .int32))
    #expect(try connection.answer()?.probabilities == [5, 6, 1, 2])
    connection.send(classifyFrame(2, "table", [1]))
    let status = try #require(try connection.answer()?.status)
    #expect(status.reason == "DTYPE_MISMATCH")
    #expect(status.message == "model 'table' takes int32 of shape (rows, 1); the call holds float32")
  }
}
