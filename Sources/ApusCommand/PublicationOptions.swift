import ApusClient
import ApusWire
import ArgumentParser

/// What becomes a version of which model, and what leads to it: for all commands that publish.
struct PublicationOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The model's name; it may be new.", valueName: "name")) var name: String

  @Option(
    name: .customLong("alias"), parsing: .singleValue,
    help: ArgumentHelp("A name that means the version once it serves; repeatable.", valueName: "alias"))
  var aliases: [String] = []

  @Flag(help: "Calls without version stay with the version that they go to now.")
  var keepLatest = false

  @Option(help: ArgumentHelp("What it comes from, for the history.", valueName: "text"))
  var source: String?

  func validate() throws {
    try checkModelName(name)
    for alias in aliases { try checkAliasName(alias) }
    guard aliases.count <= BeginPublishRequest.maximumAliases else {
      throw ValidationError("at most \(BeginPublishRequest.maximumAliases) aliases go with a publication")
    }
  }

  /// Sends the files of a version to the server, and prints what comes of it.
  ///
  /// - Parameters:
  ///   - version: 0: the highest there has been, plus one.
  ///   - source: where `--source` says nothing.
  /// - Throws: `ExitCode`, after its reason was written to standard error.
  func publish(
    version: UInt64 = 0, source: String = "", to options: AdministrationOptions,
    _ files: () throws(ClientError) -> [PublishedFile]
  ) throws {
    var request = BeginPublishRequest(model: name)
    request.version = version
    request.aliases = aliases
    request.source = self.source ?? source
    request.keepLatest = keepLatest
    try options.act { client in
      try client.publish(try files(), request, timeoutNanoseconds: options.timeout) { progress in
        tell(progress, options)
      }
    }
  }

  private func tell(_ progress: PublishProgress, _ options: AdministrationOptions) {
    switch progress {
    case .began(let version):
      if !options.json { print("\(name)@\(version): sending") }
    case .uploaded(let bytes, let total):
      if !options.json, bytes == total { print("sent \(byteSize(total))") }
    case .step(let response): options.showStep(response)
    }
  }
}
