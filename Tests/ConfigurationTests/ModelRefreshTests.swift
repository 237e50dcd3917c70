import ApusIO
import ApusWire
import ArgumentParser
import Glibc
import Testing

@testable import ApusCommand

/// What `apus model refresh` takes, when it trains, and how it starts and names a command.
@Suite struct ModelRefreshTests {
  private func parsed(_ arguments: [String]) throws -> ModelRefresh {
    let words = ["model", "refresh"] + arguments
    return try #require(try Apus.parseAsRoot(words) as? ModelRefresh)
  }

  private static let needed = ["--name", "digits", "--to", "unix:/tmp/apus.sock"]

  @Test func everythingBehindTheDashesIsTheCommand() throws {
    let command = try parsed(
      Self.needed + ["--alias", "stable", "--alias", "b", "--keep-latest", "--source", "nightly"]
        + ["--sign", "release.key", "--time-limit", "1.5", "--timeout", "3", "--json"]
        + ["--", "python3", "train.py", "--name", "x", "--", "--json"])
    #expect(command.command == ["python3", "train.py", "--name", "x", "--", "--json"])
    #expect(command.publication.name == "digits" && command.publication.aliases == ["stable", "b"])
    #expect(command.publication.keepLatest && command.publication.source == "nightly")
    #expect(command.sign == "release.key" && command.timeLimit == 1.5 && command.options.json)
    #expect(command.options.timeout == 3_000_000_000)
    #expect(try command.bound() == nil)
  }

  @Test func driftHasABoundAndALeastNumberOfInputs() throws {
    let some = try parsed(Self.needed + ["--if-drift", "0.25", "--", "true"]).bound()
    #expect(some?.index == 0.25 && some?.minimumRows == 1000)
    let few = try parsed(Self.needed + ["--if-drift", "2", "--min-rows", "5", "--", "true"]).bound()
    #expect(few?.index == 2 && few?.minimumRows == 5)
  }

  @Test(arguments: [
    "", "--", "train", "--if-drift 0 -- train", "--if-drift -1 -- train", "--if-drift nan -- train",
    "--if-drift much -- train", "--min-rows 5 -- train", "--if-drift 1 --min-rows 0 -- train",
    "--time-limit -1 -- train", "--time-limit nan -- train", "--alias a/b -- train",
  ])
  func wrongUsage(_ arguments: String) {
    let words = ["model", "refresh"] + Self.needed + arguments.split(separator: " ").map(String.init)
    #expect { try Apus.parseAsRoot(words) } throws: { Apus.exitCode(for: $0) == .validationFailure }
  }

  @Test func anEmptyWordIsNoCommand() {
    let words = ["model", "refresh"] + Self.needed + ["--", ""]
    #expect { try Apus.parseAsRoot(words) } throws: { Apus.exitCode(for: $0) == .validationFailure }
  }

  private func drift(rows: UInt64, classes: Double, input: Double) -> Drift {
    var drift = Drift()
    drift.rowsTotal = rows
    drift.classes = classes
    drift.largestInput = input
    drift.largestInputIndex = 7
    return drift
  }

  @Test func theLargestIndexDecides() throws {
    let bound = try DriftBound(index: 0.25, minimumRows: 100)
    #expect(
      bound.verdict(drift(rows: 100, classes: 0.1, input: 0.25))
        == .train("the drift of number 7 of the inputs is 0.25, at least 0.25"))
    #expect(
      bound.verdict(drift(rows: 100, classes: 1.5, input: 0.1))
        == .train("the drift of the classes is 1.5, at least 0.25"))
    #expect(
      bound.verdict(drift(rows: 100, classes: 0.1, input: 0.2))
        == .stay("the drift of number 7 of the inputs is 0.2, below 0.25"))
    #expect(
      bound.verdict(drift(rows: 99, classes: 9, input: 9))
        == .stay("99 inputs were looked at, and 100 are needed"))
    guard case .unknown = bound.verdict(nil) else {
      Issue.record("a version without samples has no drift")
      return
    }
  }

  @Test func commandsReadAsTheyWereTyped() {
    #expect(shellText(["python3", "train.py", "--rate=0.1", "a,b"]) == "python3 train.py --rate=0.1 a,b")
    #expect(shellText(["sh", "-c", "echo $A; it's"]) == #"sh -c 'echo $A; it'\''s'"#)
    #expect(shellText(["a", "", "b\nc\td"]) == "a '' 'b c d'")
    let long = shellText(["x", String(repeating: "é", count: 1000)])
    #expect(long.utf8.count <= 1024 && long.utf8.count > 1018 && long.hasSuffix("é…"))
    let exact = String(repeating: "x", count: 1024)
    #expect(shellText([exact]) == exact)
  }

  @Test func aChildGetsItsVariablesAndNoInput() throws {
    let pipe = try StorePipe()
    let script = #"echo "$HOME $(env | grep -c '^HOME=') ${PATH:+kept} $(wc -c)"; kill -PIPE $$; exit 3"#
    let start = ChildStart(
      program: "sh", arguments: ["-c", script], variables: [("HOME", "here")],
      output: pipe.writing.number, errors: pipe.writing.number, leadsGroup: true)
    #expect(waitForChild(try start.start()) == .signal(SIGPIPE))
    let output = pipe.takeReading()
    var lines = StoreLines()
    #expect(lines.read(from: output) == ["here 1 kept 0"])
  }

  @Test func aProgramThatIsNotThereIsSaid() {
    let start = ChildStart(
      program: "apus-no-such-program", arguments: [], output: STDERR_FILENO, errors: STDERR_FILENO)
    #expect {
      try start.start()
    } throws: { "\($0)" == "start apus-no-such-program: No such file or directory" }
  }
}
