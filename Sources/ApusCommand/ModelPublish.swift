import ApusClient
import ArgumentParser

struct ModelPublish: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "publish",
    abstract: "Send a version of a model to a server, which loads it and lets it answer.",
    discussion: """
      PATH is a folder as the server's own hold them, or a single file of weights:

        apus model publish digits/ --name digits --alias stable --to unix:/run/apus.sock
        apus model publish digits.pt --manifest model.yaml --name digits --to unix:/run/apus.sock
      """)

  @Argument(help: "A folder with a version's files, or a file of weights.") var path: String
  @OptionGroup var publication: PublicationOptions

  @Option(
    name: .customLong("version"),
    help: ArgumentHelp("The version. Default: the highest there has been, plus one.", valueName: "number"))
  var number: UInt64?

  @Option(
    help: ArgumentHelp("The model.yaml of a single file of weights.", valueName: "file"))
  var manifest: String?

  @OptionGroup var options: AdministrationOptions

  func validate() throws {
    guard number != 0 else { throw ValidationError("--version takes a positive number") }
  }

  func run() throws { try publication.publish(version: number ?? 0, to: options, files) }

  private func files() throws(ClientError) -> [PublishedFile] {
    guard let manifest else {
      return try PublishedFile.isFolder(path)
        ? PublishedFile.all(inFolder: path) : [PublishedFile(name: lastPart(path), path: path)]
    }
    guard !PublishedFile.isFolder(path) else {
      throw .invalidInput("--manifest goes with a single file; a folder holds its own model.yaml")
    }
    return [
      try PublishedFile(name: lastPart(path), path: path),
      try PublishedFile(name: "model.yaml", path: manifest),
    ]
  }

  private func lastPart(_ path: String) -> String {
    path.split(separator: "/").last.map { String($0) } ?? path
  }
}
