import ArgumentParser

struct Model: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Publish versions of models to a running server, and change which of them answers.",
    discussion: """
      NAME@VERSION names a version, NAME:ALIAS a name for one:

        apus model publish digits/ --name digits --to unix:/run/apus.sock
        apus model rollback digits --to unix:/run/apus.sock
      """,
    subcommands: ModelAdministration.administration + [ModelSign.self, ModelKey.self])
}
