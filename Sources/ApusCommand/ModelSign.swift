import ApusIO
import ApusModels
import ArgumentParser
import Glibc

/// Signs a folder before it is published.
struct ModelSign: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign",
    abstract: "Sign the files of a version, before it is published.",
    discussion: """
      The signature (Ed25519) is of the model's name and of every file's name, size and SHA-256. It is \
      added to FOLDER/manifest.sig; a signature of the same key that is there already is replaced:

        apus model key create release.key > release.pem
        apus model sign build/digits --name digits --key release.key
        apus model publish build/digits --name digits --to unix:/run/apus.sock
      """)

  @Argument(help: ArgumentHelp("The folder with the version's files.", valueName: "folder"))
  var folder: String

  @Option(help: ArgumentHelp("The model that it will be a version of.", valueName: "name"))
  var name: String

  @Option(help: ArgumentHelp("The private key, as apus model key create makes it.", valueName: "file"))
  var key: String

  func run() throws {
    do throws(ModelError) {
      print(try Self.sign(folder, name: name, by: try SigningKey(path: key)))
    } catch { throw failure(error.description, status: 1) }
  }

  /// Adds a signature of all files in the folder to its `manifest.sig`.
  ///
  /// - Parameter name: the model's.
  /// - Returns: what was done, in a line.
  static func sign(
    _ folder: String, name: String, by key: borrowing SigningKey
  ) throws(ModelError) -> String {
    let files = try VersionFile.all(inFolder: folder)
    var signatures = try ManifestSignatures.read(folder)
    try signatures.add(key.sign(SignedStatement.bytes(model: name, files: files)))
    try signatures.write(folder)
    let others = signatures.entries.count - 1
    return "signed \(files.count) files of \(printable(name)) by \(key.id)"
      + (others == 0 ? "" : "; \(others) other keys have signed them too")
  }
}
