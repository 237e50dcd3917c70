import ApusClient
import ApusJSON
import ApusWire
import ArgumentParser

struct ModelHistory: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "history", abstract: "Say who did what to which version, newest first.")

  @Argument(help: "Name of the model. Default: all.") var name: String?
  @Option(help: ArgumentHelp("How many of the newest.", valueName: "number")) var limit: UInt32 = 100
  @OptionGroup var options: AdministrationOptions

  func validate() throws {
    if let name { try checkModelName(name) }
    guard limit > 0 else { throw ValidationError("--limit takes a positive number") }
  }

  func run() throws {
    let acts = try options.connection.withClient {
      try $0.history(HistoryRequest(model: name ?? "", limit: limit), timeoutNanoseconds: options.timeout)
    }
    if options.json {
      let document: JSON = ["acts": .array(acts.map { $0.json })]
      return print(document)
    }
    var table = Table(
      ["WHEN", "WHO", "FROM", "ACT", "MODEL", "VERSION", "RESULT", "DETAIL"], rightAligned: [5])
    for act in acts {
      table.add([
        timeText(act.timeNanoseconds), act.who, act.from, act.act, act.model,
        act.version == 0 ? "" : String(act.version), act.result, act.detail,
      ])
    }
    table.print()
  }
}

extension Act {
  fileprivate var json: JSON {
    [
      "sequence": .integer(sequence), "time_ns": .integer(timeNanoseconds), "who": .string(who),
      "from": .string(from), "act": .string(act), "model": .string(model), "version": .integer(version),
      "detail": .string(detail), "result": .string(result),
    ]
  }
}
