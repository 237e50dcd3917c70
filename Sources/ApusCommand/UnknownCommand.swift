import ApusYAML
import ArgumentParser

/// What is wrong with a command line that names no command: of a mistyped one the parser would tell the first
/// option behind it, which it cannot know.
///
/// - Returns: nil where each name is that of a command.
func unknownCommand(in words: some Sequence<String>) -> String? {
  var group: any ParsableCommand.Type = Apus.self
  var path = "apus"
  for word in words {
    let commands = group.configuration.subcommands
    guard !commands.isEmpty, !word.hasPrefix("-"), word != "help" else { return nil }
    let names = commands.compactMap { $0.configuration.commandName }
    guard let place = names.firstIndex(of: word) else {
      let near = nearName(to: word, in: names)
      let hint = near.map { "did you mean \($0)?" } ?? "there are \(names.joined(separator: ", "))."
      return "\(path) has no command \(word); \(hint) See '\(path) --help' for more information."
    }
    group = commands[place]
    path += " \(word)"
  }
  return nil
}
