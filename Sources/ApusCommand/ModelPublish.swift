import ApusClient
import ApusWire
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
  @Option(help: ArgumentHelp("The model's name; it may be new.", valueName: "name")) var name: String

  @Option(
    name: .customLong("version"),
    help: ArgumentHelp("The version. Default: the highest there has been, plus one.", valueName: "number"))
  var number: UInt64?

  @Option(
    name: .customLong("alias"), parsing: .singleValue,
    help: ArgumentHelp("A name that means the version once it serves; repeatable.", valueName: "alias"))
  var aliases: [String] = []

  @Flag(help: "Calls without version stay with the version that they go to now.")
  var keepLatest = false

  @Option(help: ArgumentHelp("What it comes from, for the history.", valueName: "text")) var source = ""

  @Option(
    help: ArgumentHelp("The model.yaml of a single file of weights.", valueName: "file"))
  var manifest: String?

  @OptionGroup var options: AdministrationOptions

  func validate() throws {
    try checkModelName(name)
    for alias in aliases { try checkAliasName(alias) }
    guard number != 0 else { throw ValidationError("--version takes a positive number") }
    guard aliases.count <= BeginPublishRequest.maximumAliases else {
      throw ValidationError("at most \(BeginPublishRequest.maximumAliases) aliases go with a publication")
    }
  }

  func run() throws {
    var request = BeginPublishRequest(model: name)
    request.version = number ?? 0
    request.aliases = aliases
    request.source = source
    request.keepLatest = keepLatest
    try options.act { client in
      try client.publish(try files(), request, timeoutNanoseconds: options.timeout, tell)
    }
  }

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

  private func tell(_ progress: PublishProgress) {
    switch progress {
    case .began(let version):
      if !options.json { print("\(name)@\(version): sending") }
    case .uploaded(let bytes, let total):
      if !options.json, bytes == total { print("sent \(byteSize(total))") }
    case .step(let response): options.showStep(response)
    }
  }
}
