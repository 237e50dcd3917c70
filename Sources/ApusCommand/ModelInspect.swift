import ApusBase
import ApusEngine
import ApusJSON
import ApusModels
import ArgumentParser

/// Says what a model file holds and how this machine computes it, without a server.
struct ModelInspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Say what a model file holds, and what its plan takes on this machine.",
    discussion: """
      Reads FILE as a server would, with a model.yaml that lies beside it, or a version's folder; makes \
      its plan and measures each step on one thread:

        apus model inspect digits.onnx
        apus model inspect models/repository/digits/1 --json
      """)

  @Argument(help: ArgumentHelp("A model file, or the folder of a version.", valueName: "file"))
  var path: String

  @Flag(help: "Print JSON.") var json = false

  func run() throws {
    let inspection: ModelInspection
    do throws(ModelError) { inspection = try ModelInspection(path) } catch {
      throw failure(error.description, status: 1)
    }
    if json { print(inspection.json) } else { inspection.print() }
  }
}

/// What is found of a model.
private struct ModelInspection {
  private let model: ModelVersion
  private let classifier: Classifier
  private let operations: Int
  private let plan: Plan
  /// Numbers of rows, and what each step takes for them.
  private let times: [(rows: Int, steps: [StepTime])]

  init(_ path: String) throws(ModelError) {
    model = try ModelVersion(readingFrom: path)
    guard let classifier = model.classifier else { throw ModelError("it is no model") }
    self.classifier = classifier
    do throws(GraphError) {
      operations = try classifier.graph.operationsPerRow()
      plan = try Plan(classifier)
      var times: [(rows: Int, steps: [StepTime])] = []
      for rows in [1, min(plan.blockRows, 128)] where times.last?.rows != rows {
        times.append((rows, try plan.stepTimes(rows: rows)))
      }
      self.times = times
    } catch { throw ModelError(error.description) }
  }

  private var shape: String { (["rows"] + model.inputShape.map { String($0) }).joined(separator: ", ") }

  private var labels: [String] {
    model.labels.isEmpty ? (0..<min(classifier.outputs, 1000)).map { String($0) } : model.labels
  }

  func print() {
    func line(_ name: String, _ text: String) {
      Swift.print(name + String(repeating: " ", count: 12 - name.count) + text)
    }
    let head = classifier.head == .none ? "as they are" : "then \(classifier.head.rawValue)"
    line("format", model.format)
    line("graph", printable(classifier.summary))
    line("input", "\(printable(classifier.inputName)): \(model.inputType.name) [\(shape)]")
    line("output", "\(printable(classifier.outputName)): float32 [rows, \(classifier.outputs)], \(head)")
    let shown = labels.prefix(20).map { printable($0) }.joined(separator: ", ")
    line("labels", model.labels.isEmpty ? "none: indices" : shown + (labels.count > 20 ? ", …" : ""))
    line("parameters", "\(classifier.parameters)")
    line("operations", "\(operations) for a row")
    line(
      "memory",
      "\(plan.weightsBytes >> 10) KiB of weights as the kernels read them, "
        + "\(plan.workspaceBytes >> 10) KiB of workspace for each thread")
    line("machine", "\(processorName), \(kernelLevelName), OpenBLAS's \(blasCoreName)")
    for note in model.notes { line("note", printable(note)) }
    Swift.print()
    var table = Table(
      ["STEP", "KERNEL"] + times.map { $0.rows == 1 ? "1 ROW" : "\($0.rows) ROWS" },
      rightAligned: Set(times.indices.map { $0 + 2 }))
    for (index, step) in times[0].steps.enumerated() {
      table.add(
        [step.name, step.kernel] + times.map { microseconds($0.steps[index].nanoseconds) })
    }
    table.add(["all", ""] + times.map { microseconds($0.steps.reduce(0) { $0 + $1.nanoseconds }) })
    table.print()
  }

  private func microseconds(_ nanoseconds: Double) -> String { formatted(nanoseconds / 1000, "%.2f us") }

  var json: JSON {
    [
      "format": .string(model.format), "graph": .string(classifier.summary),
      "input": [
        "name": .string(classifier.inputName), "dtype": .string(model.inputType.name),
        "shape": .array([.signed(-1)] + model.inputShape.map { .integer($0) }),
      ],
      "output": [
        "name": .string(classifier.outputName), "dtype": .string("float32"),
        "shape": .array([.signed(-1), .integer(classifier.outputs)]),
        "activation": .string(classifier.head.rawValue),
      ],
      "labels": .array(model.labels.map { .string($0) }), "parameters": .integer(classifier.parameters),
      "operations_per_row": .integer(operations), "weights_bytes": .integer(plan.weightsBytes),
      "workspace_bytes": .integer(plan.workspaceBytes), "block_rows": .integer(plan.blockRows),
      "machine": [
        "processor": .string(processorName), "kernels": .string(kernelLevelName),
        "openblas": .string(blasCoreName),
      ],
      "notes": .array(model.notes.map { .string($0) }),
      "plan": .array(
        times[0].steps.enumerated().map { index, step in
          [
            "step": .string(step.name), "kernel": .string(step.kernel),
            "us": .object(
              times.map {
                JSON.Member(key: String($0.rows), value: .number($0.steps[index].nanoseconds / 1000))
              }),
          ]
        }),
    ]
  }
}
