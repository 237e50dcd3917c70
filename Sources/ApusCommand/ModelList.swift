import ApusClient
import ApusJSON
import ApusWire
import ArgumentParser

struct ModelList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List the versions of a server: state, names, share of calls, and where each comes from.")

  @OptionGroup var options: AdministrationOptions

  func run() throws {
    let models = try options.connection.withClient { try $0.models(timeoutNanoseconds: options.timeout) }
    if options.json {
      let document: JSON = ["models": .array(models.map { $0.administrationJSON })]
      return print(document)
    }
    var table = Table(
      [
        "MODEL", "VERSION", "STATE", "ALIASES", "CALLS", "PUBLISHED BY", "PUBLISHED", "SOURCE", "SIGNED BY",
        "MEMORY", "NOTE",
      ], rightAligned: [1, 4, 9])
    for model in models {
      table.add([
        model.name, String(model.version), model.state.name, model.aliases.joined(separator: ", "),
        model.share, model.publishedBy, model.publishedText, model.source, model.signedBy,
        model.memoryBytes == 0 ? "" : byteSize(model.memoryBytes),
        model.reason.isEmpty ? model.deprecated : model.reason,
      ])
    }
    table.print()
  }
}

extension ModelInfo {
  fileprivate var share: String {
    if isShadow { return "shadow" }
    return weight == 0 ? "" : formatted(Double(weight) / 100, "%g %%")
  }
}
