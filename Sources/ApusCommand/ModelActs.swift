import ApusClient
import ApusWire
import ArgumentParser

struct ModelWithdraw: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "withdraw", abstract: "Take a version out of service: calls that began on it end on it.")

  @Argument(help: "NAME@VERSION.") var version: String
  @Flag(name: .customLong("delete"), help: "Take its files off the disk as well.") var deleteFiles = false
  @Option(help: ArgumentHelp("Why, for the history.", valueName: "text")) var note = ""
  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try versionReference(version) }

  func run() throws {
    let version = try versionReference(version)
    try options.act { client in
      try client.withdraw(
        VersionRequest(
          model: version.name, version: version.version, note: note, deleteFiles: deleteFiles),
        timeoutNanoseconds: options.timeout)
    }
  }
}

struct ModelDeprecate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deprecate", abstract: "Tell callers of a version to leave it; without --note no longer.")

  @Argument(help: "NAME@VERSION.") var version: String
  @Option(help: ArgumentHelp("What callers are told.", valueName: "text")) var note = ""
  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try versionReference(version) }

  func run() throws {
    let version = try versionReference(version)
    try options.act { client in
      try client.deprecate(
        VersionRequest(model: version.name, version: version.version, note: note),
        timeoutNanoseconds: options.timeout)
    }
  }
}

struct ModelLoad: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Load a version that is on disk alone.")

  @Argument(help: "NAME@VERSION.") var version: String
  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try versionReference(version) }

  func run() throws {
    let version = try versionReference(version)
    try options.act { client in
      try client.load(
        VersionRequest(model: version.name, version: version.version), timeoutNanoseconds: options.timeout,
        options.showStep)
    }
  }
}

struct ModelUnload: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unload", abstract: "Take a version out of memory; its files stay.")

  @Argument(help: "NAME@VERSION.") var version: String
  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try versionReference(version) }

  func run() throws { try options.act(on: version) { client in client.unload } }
}

struct ModelVerify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Compare a version's files with its digest and its signature.")

  @Argument(help: "NAME@VERSION.") var version: String
  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try versionReference(version) }

  func run() throws { try options.act(on: version) { client in client.verify } }
}

struct ModelRollback: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rollback", abstract: "Let the version answer that did before, or the one that is named.",
    discussion: """
        apus model rollback digits --to unix:/run/apus.sock
        apus model rollback digits digits@2 --to unix:/run/apus.sock
      """)

  @Argument(help: "Name of the model.") var name: String
  @Argument(help: "NAME@VERSION. Default: the version that answered before.") var version: String?
  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try request() }

  private func request() throws(ValidationError) -> VersionRequest {
    try checkModelName(name)
    guard let version else { return VersionRequest(model: name, version: 0) }
    let reference = try versionReference(version)
    guard reference.name == name else {
      throw ValidationError("'\(version)' is no version of \(name)")
    }
    return VersionRequest(model: name, version: reference.version)
  }

  func run() throws {
    let request = try request()
    try options.act { try $0.rollback(request, timeoutNanoseconds: options.timeout) }
  }
}
