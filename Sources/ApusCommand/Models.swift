import ApusBase
import ApusClient
import ApusJSON
import ApusWire
import ArgumentParser

struct Models: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List the models of a server, each version with its state.",
    discussion: """
      A version that was refused is listed as failed, with the reason:

        apus models --to unix:/run/apus.sock
        apus models --to unix:/run/apus.sock --json
      """)

  @OptionGroup var connection: ConnectionOptions

  @Flag(help: "Print one JSON document.")
  var json = false

  func run() throws {
    let models = try connection.withClient {
      try $0.models(timeoutNanoseconds: connection.timeoutNanoseconds)
    }
    if json {
      let document: JSON = ["models": .array(models.map { $0.json })]
      print(document)
    } else if models.isEmpty {
      print("The server has no models: its folder holds none as NAME/VERSION/FILE.")
    } else {
      printTable(models)
    }
  }

  private func printTable(_ models: [ModelInfo]) {
    var table = Table(
      ["MODEL", "VERSION", "STATE", "FORMAT", "PARAMETERS", "DIGEST", "ALIASES", "ARCHITECTURE OR REASON"],
      rightAligned: [1, 4])
    for model in models {
      table.add([
        model.name, String(model.version), model.state.name, model.format,
        model.parameters == 0 ? "" : String(model.parameters),
        String(hexadecimal(model.digest).prefix(12)), model.aliases.joined(separator: ", "),
        model.reason.isEmpty ? model.architecture : model.reason,
      ])
    }
    table.print()
  }
}

extension ModelInfo {
  fileprivate var json: JSON {
    [
      "name": .string(name), "version": .integer(version), "state": .string(state.name),
      "reason": .string(reason), "format": .string(format), "digest": digestJSON(digest),
      "aliases": .array(aliases.map { .string($0) }),
    ]
  }
}

/// A version's SHA-256 as `sha256:HEX`; null when there is none.
func digestJSON(_ digest: [UInt8]) -> JSON {
  digest.isEmpty ? .null : .string("sha256:" + hexadecimal(digest))
}
