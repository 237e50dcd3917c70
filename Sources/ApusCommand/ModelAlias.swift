import ApusClient
import ApusWire
import ArgumentParser

struct ModelAlias: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "alias",
    abstract: "Make a name mean a version, or nothing.",
    discussion: """
      `latest` is what calls without version go to:

        apus model alias digits:stable 3 --to unix:/run/apus.sock
        apus model alias digits:stable --remove --to unix:/run/apus.sock
      """)

  @Argument(help: "NAME:ALIAS.") var name: String
  @Argument(help: "The version that it means.") var version: UInt64?
  @Flag(help: "It means nothing any more.") var remove = false
  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try request() }

  func request() throws(ValidationError) -> SetAliasRequest {
    let reference = try ModelReference(name)
    try checkModelName(reference.name)
    guard !reference.alias.isEmpty else {
      throw ValidationError(
        "'\(name)' names no alias; write NAME:ALIAS, for example \(reference.name):stable")
    }
    try checkAliasName(reference.alias)
    guard remove == (version == nil) else {
      throw ValidationError("name the version that the alias means, or --remove")
    }
    guard version != 0 else { throw ValidationError("0 is no version; --remove takes an alias away") }
    return SetAliasRequest(model: reference.name, alias: reference.alias, version: version ?? 0)
  }

  func run() throws {
    let request = try request()
    try options.act { try $0.setAlias(request, timeoutNanoseconds: options.timeout) }
  }
}
