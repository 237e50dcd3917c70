import ApusStore
import ArgumentParser

struct Index: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "index",
    abstract: "Write FOLDER/index.json, so that any web server can serve the folder as a store.",
    discussion: """
        apus-store index models/repository

      Every file of every version is hashed. Copy the folder to its server first and index.json last: \
      whoever follows the store sees the change when that file changes.
      """)

  @Argument(help: "A folder that holds NAME/VERSION/ folders.")
  var folder: String

  func run() throws {
    let (models, versions) = try IndexWriter.write(folder)
    print("\(folder)/index.json: \(models) models, \(versions) versions")
  }
}
