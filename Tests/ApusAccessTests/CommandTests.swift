import ApusAccess
import ApusYAML
import Foundation
import Testing

/// `apus auth` as a process, in a folder of its own.
private final class Command {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "apus-auth-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  struct Outcome: Equatable {
    var status: Int32
    var output: String
    var errors: String
  }

  /// The `apus` that was built beside the tests.
  private static var executable: URL {
    let beside = Bundle.main.executableURL!.deletingLastPathComponent().appendingPathComponent("apus")
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return FileManager.default.isExecutableFile(atPath: beside.path)
      ? beside : root.appendingPathComponent(".build/debug/apus")
  }

  /// Starts `apus auth` in the folder, by the shell where its output goes to a file.
  func start(_ arguments: [String], outputPath: String? = nil) throws -> (Process, Pipe, Pipe) {
    let process = Process()
    let (written, errors) = (Pipe(), Pipe())
    process.executableURL = outputPath == nil ? Self.executable : URL(fileURLWithPath: "/bin/sh")
    process.arguments =
      (outputPath.map { ["-c", "exec \"$0\" \"$@\" > \($0)", Self.executable.path] } ?? [])
      + ["auth"] + arguments
    process.currentDirectoryURL = folder
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = written
    process.standardError = errors
    try process.run()
    return (process, written, errors)
  }

  func callAsFunction(_ arguments: String...) throws -> Outcome { try outcome(start(arguments)) }

  func outcome(_ running: (process: Process, output: Pipe, errors: Pipe)) throws -> Outcome {
    // What these commands write fits into a pipe.
    running.process.waitUntilExit()
    let output = try running.output.fileHandleForReading.readToEnd() ?? Data()
    let errors = try running.errors.fileHandleForReading.readToEnd() ?? Data()
    return Outcome(
      status: running.process.terminationStatus, output: String(decoding: output, as: UTF8.self),
      errors: String(decoding: errors, as: UTF8.self))
  }

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  func write(_ name: String, _ text: String, mode: Int = 0o600) throws {
    try Data(text.utf8).write(to: folder.appendingPathComponent(name))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path(name))
  }

  func text(_ name: String) throws -> String {
    try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
  }

  func mode(_ name: String) throws -> Int {
    try #require(FileManager.default.attributesOfItem(atPath: path(name))[.posixPermissions] as? Int)
  }

  var files: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
  }
}

@Suite("apus auth")
struct CommandTests {
  private let apus = try! Command()

  private func check(_ token: some StringProtocol, _ file: String = "p.yaml") throws -> Policy.TokenCheck {
    let policy = try Policy(yaml: try apus.text(file), source: file)
    return bytes(String(token)) { policy.check(token: $0, at: Int64(Date().timeIntervalSince1970)) }
  }

  @Test("A token is printed once and alone, and the new policy knows it")
  func create() throws {
    let made = try apus("token", "create", "checkout", "--policy", "p.yaml", "--expires", "2099-12-31")
    #expect(made.status == 0 && made.output.hasPrefix("apus_") && made.output.utf8.count == 49)
    #expect(made.errors.hasPrefix("apus: no entry names token:checkout yet") && made.errors.hasSuffix("\n"))
    #expect(made.errors.contains("token:checkout: {models: [\"MODEL\"], methods: [classify, read]}"))
    #expect(try check(made.output.dropLast()) == .valid(name: "checkout", expires: 4_102_358_400))
    #expect(try apus.mode("p.yaml") == 0o600 && apus.files == ["p.yaml"])
    #expect(try !apus.text("p.yaml").contains(made.output.dropLast()))
  }

  @Test("A name that is taken is refused, and replaced only with --replace")
  func replace() throws {
    let first = try apus("token", "create", "a", "--policy", "p.yaml")
    let before = try apus.text("p.yaml")
    let refused = try apus("token", "create", "a", "--policy", "p.yaml")
    #expect(refused.status == 1 && refused.output == "")
    #expect(refused.errors.hasPrefix("apus: p.yaml line 2: there is a token a already"))
    #expect(try apus.text("p.yaml") == before)
    let second = try apus("token", "create", "a", "--policy", "p.yaml", "--replace")
    #expect(try second.status == 0 && check(second.output.dropLast()) == .valid(name: "a", expires: .max))
    #expect(try check(first.output.dropLast()) == .unknown)
  }

  @Test("Creating and revoking leave every other byte, the mode, the owner and a link as they were")
  func roundTrip() throws {
    let text = "# mine\r\nidentities:\r\n  token:a: {models: [\"*\"], methods: [read]}  # all\r\ntokens:\r\n"
    try apus.write("real.yaml", text, mode: 0o440)
    // A user that is not the test's own, where the test may give files away.
    let owner: uid_t = geteuid() == 0 ? 12_345 : geteuid()
    #expect(chown(apus.path("real.yaml"), owner, getegid()) == 0)
    try FileManager.default.createSymbolicLink(
      atPath: apus.path("p.yaml"), withDestinationPath: "real.yaml")
    let made = try apus("token", "create", "a", "--policy", "p.yaml")
    #expect(made.status == 0 && made.errors == "")
    #expect(try apus.text("real.yaml").hasPrefix(text + "  a: {hash: \"sha256:"))
    #expect(
      try apus("token", "revoke", "a", "--policy", "p.yaml") == .init(status: 0, output: "", errors: ""))
    #expect(try Array(apus.text("real.yaml").utf8) == Array(text.utf8))
    #expect(try apus.mode("real.yaml") == 0o440 && apus.files == ["p.yaml", "real.yaml"])
    let attributes = try FileManager.default.attributesOfItem(atPath: apus.path("real.yaml"))
    #expect(attributes[.ownerAccountID] as? Int == Int(owner))
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: apus.path("p.yaml")) == "real.yaml")
    let again = try apus("token", "revoke", "a", "--policy", "p.yaml")
    #expect(again == .init(status: 1, output: "", errors: "apus: p.yaml has no token a\n"))
  }

  @Test("Tokens made at the same time are all kept")
  func concurrent() throws {
    let running = try (0..<12).map { try apus.start(["token", "create", "t\($0)", "--policy", "p.yaml"]) }
    let outcomes = try running.map(apus.outcome)
    #expect(outcomes.allSatisfy { $0.status == 0 })
    for (index, outcome) in outcomes.enumerated() {
      #expect(try check(outcome.output.dropLast()) == .valid(name: "t\(index)", expires: .max))
    }
    #expect(try apus.files == ["p.yaml"])
  }

  @Test("A file that cannot be edited stays as it is, and nothing is printed")
  func refused() throws {
    try apus.write("bad.yaml", "tokens: {a: {hash: no}}")
    try apus.write("braces.yaml", "tokens: {a: {hash: \"\(hashText("a"))\"}}")
    try apus.write("latin.yaml", "")
    try Data([0x23, 0xE4, 0x0A]).write(to: apus.folder.appendingPathComponent("latin.yaml"))
    try FileManager.default.createSymbolicLink(
      atPath: apus.path("link.yaml"), withDestinationPath: "none.yaml")
    for (file, expected) in [
      ("bad.yaml", "apus: bad.yaml line 1: tokens.a.hash must be sha256:"),
      ("braces.yaml", "apus: braces.yaml line 1: tokens in braces or with an anchor cannot be edited"),
      ("latin.yaml", "apus: latin.yaml is not a text in UTF-8\n"),
      ("link.yaml", "apus: link.yaml is a link to a file that is not there\n"),
      ("none/p.yaml", "apus: cannot open the folder of none/p.yaml: No such file or directory\n"),
      (".", "apus: . is no file of at most 16 MiB\n"),
      ("bad.yaml/p", "apus: cannot open bad.yaml/p: Not a directory\n"),
    ] {
      let before = try? Data(contentsOf: apus.folder.appendingPathComponent(file))
      let outcome = try apus("token", "create", "b", "--policy", file)
      #expect(outcome.status == 1 && outcome.output == "" && outcome.errors.hasPrefix(expected), "\(outcome)")
      #expect(outcome.errors.split(separator: "\n").count == 1)
      #expect((try? Data(contentsOf: apus.folder.appendingPathComponent(file))) == before)
    }
    for command in [["token", "revoke", "a"], ["token", "list"]] {
      let outcome = try apus.outcome(apus.start(command + ["--policy", "new.yaml"]))
      #expect(
        outcome
          == .init(status: 1, output: "", errors: "apus: cannot read new.yaml: No such file or directory\n"))
    }
    #expect(try apus.files == ["bad.yaml", "braces.yaml", "latin.yaml", "link.yaml"])
  }

  @Test("A token that cannot be printed is an error")
  func fullOutput() throws {
    let running = try apus.start(["token", "create", "a", "--policy", "p.yaml"], outputPath: "/dev/full")
    let outcome = try apus.outcome(running)
    #expect(outcome.status == 1)
    #expect(outcome.errors == "apus: the token could not be printed; make another one with --replace\n")
  }

  @Test("A policy that others may write is warned of", arguments: [0o620, 0o602, 0o666])
  func writable(mode: Int) throws {
    try apus.write("p.yaml", "tokens:\n", mode: mode)
    let outcome = try apus("token", "list", "--policy", "p.yaml")
    #expect(outcome.status == 0)
    #expect(outcome.errors == "apus: others may write p.yaml; take that from them: chmod go-w p.yaml\n")
  }

  @Test("Tokens are listed with their state, and no hash")
  func list() throws {
    let hashes = ["a", "b"].map(hashText)
    try apus.write(
      "p.yaml",
      """
      identities: {token:a: {models: [], methods: [read]}}
      tokens:
        a: {hash: "\(hashes[0])", expires: 2001-09-09T01:46:40Z}
        b: {hash: "\(hashes[1])"}
      """)
    let table = try apus("token", "list", "--policy", "p.yaml")
    #expect(
      table.output == """
        TOKEN  EXPIRES               STATE    NAMED BY AN ENTRY
        a      2001-09-09T01:46:40Z  expired  yes
        b      never                 valid    no: may do nothing

        """)
    let json = try apus("token", "list", "--policy", "p.yaml", "--json")
    #expect(
      json
        == .init(
          status: 0,
          output:
            "{\"tokens\": [{\"name\": \"a\", \"expires\": \"2001-09-09T01:46:40Z\", "
            + "\"state\": \"expired\", \"named\": true}, "
            + "{\"name\": \"b\", \"expires\": null, \"state\": \"valid\", \"named\": false}]}\n",
          errors: ""))
  }

  @Test("explain prints what decided: 0 allowed, 1 refused, 2 no answer")
  func explain() throws {
    try apus.write("p.yaml", examplePolicy)
    let file = ["--policy", "p.yaml"]
    for (arguments, status, output) in [
      (["uid:1000", "admin", "x"], 0, "allowed: line 3: uid:1000 may admin x\n"),
      (["uid:5,gid:5,gid:100", "read"], 0, "allowed: line 5 (group analysts): gid:100 may read\n"),
      (["anonymous", "read", "x"], 1, "refused: no entry names anonymous\n"),
      (["cert:A, B, Inc.,gid:5", "read", "x"], 1, "refused: no entry names cert:A, B, Inc. or gid:5\n"),
      (
        ["uid:1000", "admin", "x", "--json"], 0,
        "{\"allowed\": true, \"line\": 3, \"explanation\": \"line 3: uid:1000 may admin x\", "
          + "\"identities\": [\"uid:1000\"], \"method\": \"admin\", \"model\": \"x\", \"priority\": null}\n"
      ),
      (
        ["uid:7", "admin", "--json"], 1,
        "{\"allowed\": false, \"line\": null, \"explanation\": \"no entry names uid:7\", "
          + "\"identities\": [\"uid:7\"], \"method\": \"admin\", \"model\": null, \"priority\": null}\n"
      ),
    ] as [([String], Int32, String)] {
      let outcome = try apus.outcome(apus.start(["explain"] + arguments + file))
      #expect(outcome == .init(status: status, output: output, errors: ""))
    }
    for arguments in [
      ["root", "read"], ["uid:5,root", "read"], ["", "read"], ["uid:5", "write"], ["uid:5"],
    ] {
      let outcome = try apus.outcome(apus.start(["explain"] + arguments + file))
      #expect(outcome.status == 2 && outcome.output == "" && outcome.errors.hasPrefix("apus: "))
    }
    #expect(try apus("explain", "uid:5", "read", "--policy", "none.yaml").status == 2)
    let gone = try apus("explain", "token:gone", "read", "--policy", "p.yaml")
    #expect(gone.errors == "apus: nobody can be token:gone: the policy has no token of that name\n")
  }

  @Test(
    "Wrong usage is told, and makes no file",
    arguments: [
      ["a b"], [""], ["a", "--expires", "soon"], ["a", "--expires", "2020-01-01"], ["a", "--expires", "0d"],
      [],
    ])
  func usage(arguments: [String]) throws {
    let outcome = try apus.outcome(apus.start(["token", "create"] + arguments + ["--policy", "p.yaml"]))
    #expect(outcome.status == 2 && outcome.output == "" && outcome.errors.hasPrefix("apus: "))
    #expect(try apus.files == [])
  }
}
