import ArgumentParser

struct Model: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model",
    abstract: "Publish versions of models to a running server, and change which of them answers.",
    discussion: """
      NAME@VERSION names a version, NAME:ALIAS a name for one:

        apus model publish digits/ --name digits --to unix:/run/apus.sock
        apus model rollback digits --to unix:/run/apus.sock

      A file that is not published yet is looked at without a server:

        apus model inspect digits.onnx
      """,
    subcommands: ModelAdministration.administration + [ModelInspect.self, ModelSign.self, ModelKey.self])
}
