import ApusAccess
import ApusClient
import ApusJSON
import ApusWire
import ArgumentParser

/// The commands of `apus model` that a running server answers, and what they have in common.
enum ModelAdministration {
  static let administration: [any ParsableCommand.Type] = [
    ModelPublish.self, ModelRefresh.self, ModelList.self, ModelAlias.self, ModelWeight.self, ModelShadow.self,
    ModelRollback.self, ModelDeprecate.self, ModelWithdraw.self, ModelLoad.self, ModelUnload.self,
    ModelVerify.self, ModelHistory.self,
  ]
}

/// Where the server is and how to print what it answers.
struct AdministrationOptions: ParsableArguments {
  @OptionGroup var connection: ConnectionOptions
  @Flag(help: "Print one JSON document.") var json = false

  var timeout: UInt64 { connection.timeoutNanoseconds }

  /// Asks the server for an act on a version, and prints what came of it.
  func act(_ body: (SynchronousClient) throws -> VersionResponse) throws {
    show(try connection.withClient(body))
  }

  /// The same for an act that needs to know the version alone, which `text` names.
  func act(
    on text: String,
    _ body: (SynchronousClient) -> (VersionRequest, UInt64) throws(ClientError) -> VersionResponse
  ) throws {
    let version = try versionReference(text)
    let request = VersionRequest(model: version.name, version: version.version)
    try act { try body($0)(request, timeout) }
  }

  func show(_ response: VersionResponse) {
    if json {
      let document: JSON = [
        "model": response.model.administrationJSON, "detail": .string(response.detail),
      ]
      print(document)
    } else {
      print(line(response))
    }
  }

  /// A step on the way; JSON is of the end alone.
  func showStep(_ response: VersionResponse) {
    if !json { print(line(response)) }
  }

  private func line(_ response: VersionResponse) -> String {
    let model = response.model
    let detail = response.detail.isEmpty ? "" : ": \(response.detail)"
    return printable("\(model.name)@\(model.version) is \(model.state.name)\(detail)")
  }
}

/// Text that must name one version: `NAME@VERSION`.
func versionReference(_ text: String) throws(ValidationError) -> ModelReference {
  let reference = try ModelReference(text)
  try checkModelName(reference.name)
  guard reference.version > 0 else {
    throw ValidationError("'\(text)' names no version; write NAME@VERSION, for example \(reference.name)@1")
  }
  return reference
}

/// A name that no folder may have names no model.
func checkModelName(_ name: String) throws(ValidationError) {
  guard isAdministrationName(name) else {
    throw ValidationError("'\(name)' can name no model: use \(administrationNameCharacters)")
  }
}

func checkAliasName(_ name: String) throws(ValidationError) {
  guard isAdministrationName(name) else {
    throw ValidationError("'\(name)' can be no alias: use \(administrationNameCharacters)")
  }
}

private let administrationNameCharacters =
  "letters, digits, dots, hyphens and underscores, no dot first, at most 255"

private func isAdministrationName(_ name: String) -> Bool {
  guard let first = name.utf8.first, first != UInt8(ascii: "."), name.utf8.count <= 255 else { return false }
  return name.utf8.allSatisfy { byte in
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}

extension ModelInfo {
  var administrationJSON: JSON {
    [
      "name": .string(name), "version": .integer(version), "state": .string(state.name),
      "reason": .string(reason), "format": .string(format), "digest": digestJSON(digest),
      "aliases": .array(aliases.map { .string($0) }), "deprecated": .string(deprecated),
      "weight": .number(Double(weight) / 100), "shadow": .boolean(isShadow),
      "published_by": .string(publishedBy), "published_ns": .integer(publishedNanoseconds),
      "source": .string(source), "signed_by": .string(signedBy), "memory_bytes": .integer(memoryBytes),
    ]
  }

  /// When it was published, in UTC; empty: its folder was placed by hand.
  var publishedText: String { timeText(publishedNanoseconds) }
}

/// Nanoseconds since 1970 as a time in UTC; empty for 0.
func timeText(_ nanoseconds: UInt64) -> String {
  nanoseconds == 0 ? "" : Timestamp.text(Int64(nanoseconds / 1_000_000_000))
}
