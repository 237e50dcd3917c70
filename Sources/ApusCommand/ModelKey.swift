import ApusIO
import ApusModels
import ArgumentParser
import Glibc

/// Keys that sign models.
struct ModelKey: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key",
    abstract: "Make keys that sign models.",
    discussion: """
      A server trusts the public keys in the folder that signatures.keys names; to change a key, put the \
      new one beside the old one, sign with both, and take the old one away later:

        apus model key create release.key > /etc/apus/keys/release.pem
        apus model key public release.key
      """,
    subcommands: [Create.self, Public.self])

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "create", abstract: "Make a private key, and print its public key.")

    @Argument(help: ArgumentHelp("Where the private key goes; nothing may be there.", valueName: "file"))
    var file: String

    func run() throws {
      do throws(ModelError) {
        let key = try SigningKey.create()
        try writeNew(try key.privatePEM(), file)
        try printPublic(key)
      } catch { throw failure(error.description, status: 1) }
    }
  }

  struct Public: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "public", abstract: "Print the public key of a private one.")

    @Argument(help: ArgumentHelp("The private key.", valueName: "file"))
    var file: String

    func run() throws {
      do throws(ModelError) { try printPublic(try SigningKey(path: file)) } catch {
        throw failure(error.description, status: 1)
      }
    }
  }
}

/// The key goes to standard output, what it is called to standard error.
private func printPublic(_ key: borrowing SigningKey) throws(ModelError) {
  print(String(decoding: try key.publicPEM(), as: UTF8.self), terminator: "")
  printError("the key's id is \(key.id)")
}

/// For the owner alone.
private func writeNew(_ bytes: [UInt8], _ path: String) throws(ModelError) {
  let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
  guard descriptor >= 0 else {
    throw ModelError("cannot make \(path): \(String(cString: strerror(errno)))")
  }
  defer { close(descriptor) }
  guard bytes.withUnsafeBytes({ write(descriptor, $0.baseAddress, $0.count) }) == bytes.count else {
    throw ModelError("cannot write \(path): \(String(cString: strerror(errno)))")
  }
}
