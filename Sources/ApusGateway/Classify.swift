import ApusJSON
import ApusServer
import ApusWire
import NIOCore

/// Apus's own form of Classify, and the tutorials'.
enum Classify {
  // MARK: /v1/models/NAME:classify

  /// A body of `:classify`.
  struct Body {
    var input: Input?
    var topK = 0
    var wantsScores = false
    var timeoutMilliseconds = 0.0

    init(_ scanner: inout JSONScanner) throws(JSONError) {
      var body = Body()
      try scanner.object { (scanner, name) throws(JSONError) in
        switch name {
        case "inputs": body.input = try Input(&scanner)
        case "top_k": body.topK = try scanner.count()
        case "scores": body.wantsScores = try scanner.boolean()
        case "timeout_ms": body.timeoutMilliseconds = try scanner.number()
        default:
          throw scanner.error("'\(name)' is no member here; inputs, top_k, scores and timeout_ms are")
        }
      }
      self = body
    }

    private init() {}
  }

  static func read(_ received: ModelCall) throws -> ModelCall.Question {
    let body = try ModelCall.scan(received.body) { (scanner) throws(JSONError) in try Body(&scanner) }
    guard let input = body.input else {
      throw Problem.badRequest("INPUTS_MISSING", "the body has no 'inputs'")
    }
    let model = received.model
    var call = received.call(try input.rows(for: model, received.service))
    call.topK = body.topK
    call.wantsScores = body.wantsScores
    call.timeoutNanoseconds = UInt64(min(max(0, body.timeoutMilliseconds), 1e12) * 1e6)
    return (call, { answer in .json(text(answer, model)) })
  }

  /// As `apus classify --json` prints it.
  private static func text(_ answer: LocalAnswer, _ model: LocalModel) -> JSONText {
    var text = JSONText(capacity: 256 + answer.rows * answer.classes * 64)
    text.object {
      $0.member("model", model.served.name)
      $0.member("version", integer: model.served.version)
      $0.member("digest", model.served.digestText)
      let deprecated = model.served.standing.deprecated
      if !deprecated.isEmpty { $0.member("deprecated", deprecated) }
      $0.key("results")
      $0.array { text in for row in 0..<answer.rows { write(row, answer, model, &text) } }
      $0.key("timing_ns")
      $0.object {
        $0.member("total", integer: answer.time.total)
        $0.member("queue", integer: answer.time.queue)
        $0.member("compute", integer: answer.time.compute)
      }
    }
    return text
  }

  /// Classes are sorted by probability.
  private static func write(
    _ row: Int, _ answer: LocalAnswer, _ model: LocalModel, _ text: inout JSONText
  ) {
    let probabilities = answer.probabilities[row * answer.classes..<(row + 1) * answer.classes]
    var places = Array(0..<answer.classes)
    if answer.indices.isEmpty {
      let first = probabilities.startIndex
      places.sort { probabilities[first + $0] > probabilities[first + $1] }
    }
    text.object {
      $0.key("classes")
      $0.array {
        for place in places {
          let index = answer.index(row: row, place: place)
          $0.object {
            $0.member("index", integer: index)
            $0.member("label", model.label(index))
            $0.key("probability")
            $0.number(probabilities[probabilities.startIndex + place])
          }
        }
      }
      if !answer.scores.isEmpty {
        $0.key("scores")
        $0.array {
          for score in answer.scores[row * model.classes..<(row + 1) * model.classes] { $0.number(score) }
        }
      }
    }
  }

  // MARK: /classify

  /// The tutorials' form: `{"text": NUMBERS-OR-TEXT}`, answered by the bare nested list of probabilities.
  static func readAsTutorials(_ received: ModelCall) throws -> ModelCall.Question {
    let input: Input? = try ModelCall.scan(received.body) { (scanner) throws(JSONError) in
      var input: Input?
      try scanner.object { (scanner, name) throws(JSONError) in
        if name == "text" { input = try Input(&scanner) } else { try scanner.skipValue() }
      }
      return input
    }
    guard let input else {
      throw Problem.badRequest("INPUTS_MISSING", "the body has no 'text'")
    }
    return (received.call(try input.rows(for: received.model, received.service)), { .json(rows(of: $0)) })
  }

  private static func rows(of answer: LocalAnswer) -> JSONText {
    var text = JSONText(capacity: 16 + answer.probabilities.count * 16)
    text.array {
      for row in 0..<answer.rows {
        $0.array {
          for value in answer.probabilities[row * answer.classes..<(row + 1) * answer.classes] {
            $0.number(value)
          }
        }
      }
    }
    return text
  }
}

extension LocalModel {
  /// The index as text where the model has no labels.
  func label(_ index: Int) -> String {
    index < served.labels.count ? served.labels[index] : String(index)
  }
}
