import ApusWire
import ArgumentParser
import Testing

@testable import ApusCommand

/// What `apus model` takes and what it refuses as wrong usage.
@Suite struct ModelAdministrationTests {
  private static let to = ["--to", "unix:/tmp/apus.sock"]

  private func parsed<Command: ParsableCommand>(_ type: Command.Type, _ arguments: String) throws -> Command {
    let words = ["model"] + arguments.split(separator: " ").map(String.init) + Self.to
    return try #require(try Apus.parseAsRoot(words) as? Command)
  }

  @Test func publish() throws {
    let command = try parsed(
      ModelPublish.self,
      "publish digits --name digits --version 3 --alias stable --alias canary --keep-latest --source b1")
    let publication = command.publication
    #expect(command.number == 3 && publication.aliases == ["stable", "canary"])
    #expect(publication.keepLatest && publication.source == "b1" && command.manifest == nil)
    #expect(try parsed(ModelPublish.self, "publish digits --name digits").number == nil)
  }

  @Test func weightsAreTenThousandths() throws {
    let weight = try parsed(
      ModelWeight.self,
      "weight digits@3 5.25 --max-errors 1 --max-latency-ratio 1.5 --window 30 --min-calls 50"
    ).request()
    #expect(weight.model == "digits" && weight.version == 3 && weight.weight == 525 && !weight.shadow)
    #expect(weight.bounds?.maximumErrors == 100 && weight.bounds?.maximumLatencyRatio == 1.5)
    #expect(weight.bounds?.windowNanoseconds == 30_000_000_000 && weight.bounds?.minimumCalls == 50)
    #expect(try parsed(ModelWeight.self, "weight digits@3 0").request().bounds == nil)
    #expect(try parsed(ModelWeight.self, "weight digits@3 100").request().weight == 10_000)
    #expect(throws: (any Error).self) {
      try parsed(ModelWeight.self, "weight digits@3 5 --max-errors 0").request()
    }
  }

  @Test func shadowsAndAliases() throws {
    let on = try parsed(ModelShadow.self, "shadow digits@3").request()
    #expect(on.shadow && on.weight == 10_000)
    let off = try parsed(ModelShadow.self, "shadow digits@3 --off").request()
    #expect(off.shadow && off.weight == 0)
    let alias = try parsed(ModelAlias.self, "alias digits:stable 4").request()
    #expect(alias.model == "digits" && alias.alias == "stable" && alias.version == 4)
    #expect(try parsed(ModelAlias.self, "alias digits:stable --remove").request().version == 0)
  }

  @Test(arguments: [
    "list", "history", "history digits --limit 5", "verify digits@1", "load digits@1", "unload digits@1",
    "withdraw digits@1 --delete --note slow", "deprecate digits@1 --note old", "rollback digits",
    "rollback digits digits@2",
  ])
  func taken(_ arguments: String) throws {
    let words = ["model"] + arguments.split(separator: " ").map(String.init) + Self.to + ["--json"]
    #expect(throws: Never.self) { try Apus.parseAsRoot(words) }
  }

  @Test(arguments: [
    "publish digits --name ../digits", "publish digits --name .digits", "publish digits",
    "publish digits --name digits --version 0", "publish digits --name digits --alias a/b",
    "withdraw digits", "withdraw digits@0", "withdraw digits:stable", "withdraw ../x@1", "load @1",
    "unload digits@x", "verify digits@-1", "deprecate a/b@1", "rollback digits letters@2",
    "rollback digits digits", "alias digits 4", "alias digits:stable", "alias digits:stable 0",
    "alias digits:stable 4 --remove", "alias digits:../x 4", "weight digits 5", "weight digits@1 101",
    "weight digits@1 nan", "weight digits@1 0.001", "weight digits@1 5 --window 5",
    "weight digits@1 5 --max-errors 101", "weight digits@1 5 --max-latency-ratio 0", "shadow digits",
    "history ../x", "history --limit 0",
  ])
  func wrongUsage(_ arguments: String) {
    let words = ["model"] + arguments.split(separator: " ").map(String.init) + Self.to
    #expect { try Apus.parseAsRoot(words) } throws: { Apus.exitCode(for: $0) == .validationFailure }
  }
}
