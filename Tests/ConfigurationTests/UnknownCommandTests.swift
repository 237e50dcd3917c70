import ArgumentParser
import Testing

@testable import ApusCommand

@Suite struct UnknownCommandTests {
  @Test(arguments: [
    ("model publsh x --to unix:s", "apus model has no command publsh; did you mean publish? See"),
    ("clasify", "apus has no command clasify; did you mean classify? See 'apus --help'"),
    ("auth token creat", "apus auth token has no command creat; did you mean create? See"),
    ("audit repair", "apus audit has no command repair; there are verify. See 'apus audit --help'"),
  ])
  func aMistypedCommandIsNamed(_ line: String, _ message: String) throws {
    let problem = try #require(unknownCommand(in: line.split(separator: " ").map(String.init)))
    #expect(problem.hasPrefix(message), "\(problem)")
  }

  @Test(arguments: [
    "", "--version", "help model", "model --help", "classify digits", "model publish x --name",
  ])
  func othersAreTheParsers(_ line: String) {
    #expect(unknownCommand(in: line.split(separator: " ").map(String.init)) == nil)
  }

  @Test func everyCommandSaysItsName() {
    var groups: [any ParsableCommand.Type] = [Apus.self]
    while let group = groups.popLast() {
      #expect(group.configuration.commandName != nil, "\(group)")
      groups += group.configuration.subcommands
    }
  }
}
