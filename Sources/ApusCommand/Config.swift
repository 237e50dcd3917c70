import ApusJSON
import ArgumentParser
import Glibc

struct Config: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config",
    abstract: "Check a server's configuration, or print it.",
    discussion: """
      A value comes from a flag of apus serve, else from a variable APUS_…, else from the file, else it is \
      the default. docs/configuration.md names every key.

        apus config check apus.yaml
        apus config print --config apus.yaml
      """,
    subcommands: [ConfigCheck.self, ConfigPrint.self])
}

struct ConfigCheck: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Say what is wrong with a configuration file, each problem in a line.",
    discussion: """
      Keys, ranges, what does not go together, and the policy and certificates that it names. \
      Variables do not count. Exit status 1 if there is a problem.
      """)

  @Argument(help: ArgumentHelp("The file.", valueName: "file"))
  var file: String?

  @Option(help: ArgumentHelp("The file, as apus serve takes it. Default: $APUS_CONFIG.", valueName: "file"))
  var config: String?

  func validate() throws {
    if file != nil, config != nil { throw ValidationError("give the file once, with --config or without") }
  }

  func run() throws {
    let variable = environmentVariables()[ConfigurationLayer.fileVariable]
    guard let path = file ?? config ?? variable, !path.isEmpty else {
      throw failure("name the file to check, for example: apus config check apus.yaml", status: 2)
    }
    let layer = ConfigurationLayer(file: path)
    let configuration = ServeConfiguration([layer])
    // With a value refused, what it does not go together with is not known.
    let contradictions = layer.problems.isEmpty ? configuration.contradictions : []
    let problems = layer.problems + contradictions + fileProblems(configuration)
    for problem in problems { print(problem) }
    guard problems.isEmpty else { throw ExitCode(1) }
    print("\(printable(path)): ok")
  }

  /// What cannot be read, or else what is wrong inside of it.
  private func fileProblems(_ configuration: ServeConfiguration) -> [String] {
    let missing = configuration.missingFiles
    guard missing.isEmpty else { return missing }
    var problems: [String] = []
    do throws(CommandFailure) {
      if let policy = configuration.policy { _ = try ServeSecurity.policy(policy) }
    } catch { problems.append("\(error)") }
    do throws(CommandFailure) {
      if let tls = configuration.tls { _ = try ServeSecurity.context(tls) }
    } catch { problems.append("\(error)") }
    return problems
  }
}

struct ConfigPrint: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "print",
    abstract: "Print the configuration that the file and the environment make.",
    discussion: """
      It is a file that can be given to --config; a comment after each value says where it comes from.
      """)

  @Option(help: ArgumentHelp("The file, as apus serve takes it. Default: $APUS_CONFIG.", valueName: "file"))
  var config: String?

  @Flag(help: "Print one JSON document.")
  var json = false

  func run() throws {
    do throws(ConfigurationError) {
      let configuration = try ServeConfiguration(file: config, environment: environmentVariables())
      print(json ? configuration.json.description : configuration.yaml, terminator: json ? "\n" : "")
    } catch {
      throw failure(error.description, status: 2)
    }
  }
}
