import ApusBase
import ApusClient
import ApusFormats
import ApusJSON
import ApusWire
import ArgumentParser

struct Classify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classify",
    abstract: "Classify the rows of a NumPy file, or a text.",
    discussion: """
      An array of the shape of one input is one row, an array of one dimension more a batch. \
      8x8 images are drawn in the terminal.

        apus classify --to unix:/run/apus.sock --model digits \\
          --tensor models/samples/digit.npy --top 3
        apus classify --to unix:/run/apus.sock --model digits@1 \\
          --tensor models/samples/digits.npy --json
        apus classify --to unix:/run/apus.sock --model sentiment --text "a lovely film"
        apus classify --to unix:/run/apus.sock --model sentiment --text - < review.txt

      Such a file is written in Python by:

        numpy.save("digit.npy", pixels.astype("float32"))
      """)

  @OptionGroup var connection: ConnectionOptions

  @Option(
    help: ArgumentHelp(
      "The model, and if wanted its version or an alias.", valueName: "name[@version|:alias]"),
    transform: { try ModelReference($0) })
  var model: ModelReference

  @Option(help: ArgumentHelp("The numbers to classify.", valueName: "file.npy"))
  var tensor: String?

  @Option(help: "The text to classify, for a model that takes texts; - reads it from standard input.")
  var text: String?

  @Option(help: ArgumentHelp("Print this many classes of each row, the likeliest first.", valueName: "k"))
  var top: Int?

  @Option(help: ArgumentHelp("The trace that the call belongs to: W3C traceparent.", valueName: "text"))
  var traceParent: String?

  @Option(help: "Whose turn it is where calls wait in the server: interactive or batch.")
  var priority: PriorityArgument?

  @Flag(help: "Print the model's raw outputs too.")
  var scores = false

  @Flag(help: "Print one JSON document, with every class unless --top says otherwise.")
  var json = false

  func validate() throws {
    if let top, !(1...1_000_000).contains(top) {
      throw ValidationError("--top takes a positive number of classes")
    }
    guard (tensor == nil) != (text == nil) else {
      throw ValidationError("say what to classify: --tensor FILE.npy or --text TEXT, one of them")
    }
    if let traceParent, TraceParent(traceParent) == nil {
      throw ValidationError("--trace-parent takes 00-TRACE-SPAN-FLAGS in lower-case hexadecimal")
    }
  }

  func run() throws {
    let array = try tensor.map { try readTensor($0) }
    let text = try text.map { try readText($0) }
    let (result, nanoseconds) = try connection.withClient { client in try classify(array, text, client) }
    if !result.deprecated.isEmpty {
      printError(
        printable("apus: \(model.name) version \(result.version) is deprecated: \(result.deprecated)"))
    }
    if json {
      print(document(result))
    } else {
      Report(result: result, values: array?.values ?? [], top: top ?? 5, showScores: scores).print()
      printTime(result, nanoseconds)
    }
  }

  private func printTime(_ result: ClassifyResult, _ nanoseconds: UInt64) {
    let rows = result.rows == 1 ? "" : "\(result.rows) rows "
    let total = duration(nanoseconds: result.time.totalNanoseconds)
    let queue = duration(nanoseconds: result.time.queueNanoseconds)
    let compute = duration(nanoseconds: result.time.computeNanoseconds)
    print(
      "\(printable(model.name)) version \(result.version) answered \(rows)"
        + "in \(duration(nanoseconds: nanoseconds)), "
        + "\(total) of them in the server (queue \(queue), compute \(compute))")
  }

  /// - Returns: the result and the time from sending the call to having read its answer.
  private func classify(
    _ array: NumPyFile?, _ text: String?, _ client: SynchronousClient
  ) throws -> (ClassifyResult, UInt64) {
    var call = model.call(top: top ?? 0)
    if let array {
      let info = try client.getModel(model.request, timeoutNanoseconds: connection.timeoutNanoseconds)
      call.shape = model.batchShape(of: array.shape, info)
    }
    call.timeoutNanoseconds = connection.timeoutNanoseconds
    call.traceParent = traceParent ?? ""
    priority?.apply(to: &call)
    call.wantScores = scores
    call.wantLabels = true
    call.wantDigest = true
    var result = ClassifyResult()
    let start = Instant.now
    if let array {
      try client.classify(array.values, call, into: &result)
    } else {
      try client.classify(texts: [text ?? ""], call, into: &result)
    }
    return (result, Instant.now.since(start))
  }

  private func document(_ result: ClassifyResult) -> JSON {
    let rows: [JSON] = (0..<result.rows).map { row in
      let classes: [JSON] = result.ranked(row).map {
        ["index": .integer($0.index), "label": .string($0.label), "probability": .number($0.probability)]
      }
      guard scores else { return ["classes": .array(classes)] }
      return ["classes": .array(classes), "scores": .array(result.scores(ofRow: row).map { .number($0) })]
    }
    return [
      "model": .string(model.name), "version": .integer(result.version), "digest": digestJSON(result.digest),
      "deprecated": result.deprecated.isEmpty ? .null : .string(result.deprecated), "results": .array(rows),
      "timing_ns": [
        "total": .integer(result.time.totalNanoseconds), "queue": .integer(result.time.queueNanoseconds),
        "compute": .integer(result.time.computeNanoseconds),
      ],
    ]
  }
}

/// Reads the file of `--tensor`.
///
/// - Throws: `ExitCode`, after its reason was written to standard error.
func readTensor(_ path: String) throws -> NumPyFile {
  do {
    let array = try NumPyFile(path: path)
    guard !array.values.isEmpty else { throw NumPyError.unsupported("its array is empty") }
    return array
  } catch {
    throw failure("--tensor \(path): \(error)", status: 2)
  }
}

extension ClassifyResult {
  /// The classes of a row, the likeliest first.
  func ranked(_ row: Int) -> [(index: Int, label: String, probability: Float)] {
    let predictions = (0..<classes).map { prediction(row: row, rank: $0) }
    guard indices.isEmpty else { return predictions }
    return predictions.sorted { ($1.probability, $0.index) < ($0.probability, $1.index) }
  }

  /// The raw outputs for a row, in index order; empty unless asked for.
  func scores(ofRow row: Int) -> ArraySlice<Float> {
    let count = rows == 0 ? 0 : scores.count / rows
    return scores[row * count..<(row + 1) * count]
  }
}
