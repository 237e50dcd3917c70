import ApusStore
import Glibc

/// Tells what came: lines for a person on standard error, or JSON on standard output.
struct SyncReport {
  let url: String
  let isJSON: Bool
  private var lastProblems: [String]?

  init(url: String, isJSON: Bool) {
    self.url = url
    self.isJSON = isJSON
  }

  /// - Parameter isOnlyOne: then it is told whatever it is; else only what is new.
  mutating func tell(_ outcome: SyncOutcome, isOnlyOne: Bool) {
    let problems = outcome.allProblems
    if problems != lastProblems {
      for problem in problems { printError(problem) }
      if problems.isEmpty, !isJSON { printError("\(shownURL) is in step") }
    }
    let isNews = isOnlyOne || problems != lastProblems || outcome.models.contains { hasCome($0) }
    lastProblems = problems
    if isJSON {
      if isNews { writeLine(document(outcome), to: STDOUT_FILENO) }
      return
    }
    for model in outcome.models {
      for fetched in model.fetched {
        printError("fetched \(model.name) version \(fetched.version), \(fetched.byteCount) bytes")
      }
      if model.hasNewState { printError("\(model.name) has a new state") }
    }
  }

  private func hasCome(_ model: ModelOutcome) -> Bool { !model.fetched.isEmpty || model.hasNewState }

  /// Without what may be a signature.
  private var shownURL: Substring { url.prefix { $0 != "?" } }

  private func document(_ outcome: SyncOutcome) -> String {
    let fetched = outcome.models.flatMap { model in
      model.fetched.map {
        "{\"name\": \(quoted(model.name)), \"version\": \($0.version), \"bytes\": \($0.byteCount)}"
      }
    }
    let states = outcome.models.filter(\.hasNewState).map { quoted($0.name) }
    let errors = outcome.allProblems.map { quoted($0) }
    return """
      {"in_step": \(outcome.isInStep), "fetched": [\(fetched.joined(separator: ", "))], \
      "new_states": [\(states.joined(separator: ", "))], "errors": [\(errors.joined(separator: ", "))]}
      """
  }

  private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\" + String(scalar)
      case "\u{00}"..."\u{1F}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
