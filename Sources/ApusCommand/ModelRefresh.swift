import ApusBase
import ApusClient
import ApusIO
import ApusModels
import ApusWire
import ArgumentParser
import Glibc

/// Trains a model anew by a command of the operator's, and publishes what that writes.
struct ModelRefresh: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "refresh",
    abstract: "Run your own training command here, and publish what it writes.",
    discussion: """
      COMMAND is run as it is, without a shell, on this machine and as you; nothing of it runs in the \
      server. It writes a version's files into the folder $APUS_REFRESH_OUTPUT, which is empty. When it ends \
      with status 0, they are published as by apus model publish; otherwise nothing is. It is told \
      APUS_REFRESH_MODEL, APUS_REFRESH_VERSION (the version that answers, empty where there is none) and \
      APUS_ADDRESS (the server's) too.

        apus model refresh --name digits --to unix:/run/apus.sock -- python3 train.py --epochs 60
        apus model refresh --name digits --if-drift 0.25 --to unix:/run/apus.sock -- python3 train.py
      """)

  @OptionGroup var publication: PublicationOptions

  @Option(
    help: ArgumentHelp(
      "Sign what was written with this private key, as apus model sign does.", valueName: "file"))
  var sign: String?

  @Option(help: ArgumentHelp("Seconds after which COMMAND is ended; 0: without limit.", valueName: "s"))
  var timeLimit = 0.0

  @Option(
    help: ArgumentHelp(
      "Do nothing while the version that answers has drifted less than this from its samples, for example "
        + "0.25.", valueName: "index"))
  var ifDrift: Double?

  @Option(
    help: ArgumentHelp(
      "Nor while fewer inputs were looked at. Default: \(DriftBound.standardMinimumRows).",
      valueName: "number"))
  var minRows: UInt64?

  @OptionGroup var options: AdministrationOptions

  @Argument(parsing: .postTerminator, help: "The training command and its arguments, after --.")
  var command: [String] = []

  func validate() throws {
    guard let program = command.first, !program.isEmpty else {
      throw ValidationError("there is no command to run; write it after --, for example -- python3 train.py")
    }
    guard timeLimit >= 0, timeLimit <= 1e9 else {
      throw ValidationError("--time-limit takes seconds, 0 or more")
    }
    _ = try bound()
  }

  func bound() throws(ValidationError) -> DriftBound? {
    guard let ifDrift else {
      guard minRows == nil else { throw ValidationError("--min-rows needs --if-drift") }
      return nil
    }
    return try DriftBound(index: ifDrift, minimumRows: minRows)
  }

  func run() throws {
    try checkKey()
    let answering = try answeringVersion()
    if let bound = try bound(), try !hasDrifted(answering, bound) { return }
    do {
      let signals = try SignalSource()
      let folder = try makeOutputFolder()
      defer { Durable.remove(folder) }
      try train(folder, answering, signals)
      try publish(try written(folder), signals)
    } catch let error as SystemError { throw failure(error.description) }
  }

  // MARK: Before

  /// So that no training is in vain.
  private func checkKey() throws {
    guard let sign else { return }
    do throws(ModelError) { _ = try SigningKey(path: sign) } catch { throw failure(error.description) }
  }

  /// - Returns: nil where no version of the model answers.
  private func answeringVersion() throws -> ModelInfo? {
    try options.connection.withClient { client in
      do throws(ClientError) {
        let model = try client.getModel(
          GetModelRequest(model: publication.name), timeoutNanoseconds: options.timeout)
        return model.state == .ready ? model : nil
      } catch {
        guard case .status(let status) = error, isUnknown(status) else { throw error }
        return nil
      }
    }
  }

  /// Who may publish need not be allowed to read.
  private func isUnknown(_ status: ServerStatus) -> Bool {
    let code = StatusCode(rawValue: UInt32(status.code))
    return code == .notFound || code == .permissionDenied && ifDrift == nil
  }

  /// Whether there is reason to train; where not, it is said.
  private func hasDrifted(_ answering: ModelInfo?, _ bound: DriftBound) throws -> Bool {
    guard let answering else {
      throw failure(
        "no version of \(publication.name) answers, so its drift is not known; leave out --if-drift")
    }
    let stats = try options.connection.withClient {
      try $0.stats(answering.name, timeoutNanoseconds: options.timeout)
    }
    let drift = stats.models.first { $0.version == answering.version }?.drift
    switch bound.verdict(drift) {
    case .train(let reason):
      if !options.json { print("\(answering.name)@\(answering.version): \(reason)") }
      return true
    case .stay(let reason):
      options.show(VersionResponse(model: answering, detail: "not refreshed: \(reason)"))
      return false
    case .unknown(let reason):
      throw failure("the drift of \(answering.name)@\(answering.version) is not known: \(reason)")
    }
  }

  // MARK: The command

  /// Returns when the command has ended with status 0.
  private func train(
    _ folder: String, _ answering: ModelInfo?, _ signals: borrowing SignalSource
  ) throws {
    // Standard output is for what this command says.
    let start = ChildStart(
      program: command[0], arguments: Array(command.dropFirst()),
      variables: [
        ("APUS_REFRESH_OUTPUT", folder), ("APUS_REFRESH_MODEL", publication.name),
        ("APUS_REFRESH_VERSION", answering.map { "\($0.version)" } ?? ""),
        ("APUS_ADDRESS", options.connection.address),
      ], output: STDERR_FILENO, errors: STDERR_FILENO)
    // What was said stands before what the command says.
    fflush(nil)
    let run = try TrainingRun(start, limitNanoseconds: UInt64(timeLimit * 1e9))
    switch run.run(signals) {
    case .ended(.status(0)): return
    case .ended(.status(let status)): throw nothingPublished("the command ended with status \(status)")
    case .ended(.signal(let number)):
      throw nothingPublished("the command was ended by \(signalText(number))")
    case .timedOut:
      throw nothingPublished(
        "the command was ended, as it took longer than the \(formatted(timeLimit, "%g")) s of --time-limit")
    case .interrupted(let number):
      throw nothingPublished("\(signalText(number)) came, and the command was ended")
    }
  }

  private func nothingPublished(_ reason: String) -> ExitCode { failure("\(reason); nothing is published") }

  private func signalText(_ number: Int32) -> String {
    "signal \(number) (\(strsignal(number).map { String(cString: $0) } ?? "unknown"))"
  }

  // MARK: What it wrote

  /// The files of the version, signed where that is asked for.
  private func written(_ folder: String) throws -> [PublishedFile] {
    do {
      if let sign {
        let done = try ModelSign.sign(folder, name: publication.name, by: try SigningKey(path: sign))
        if !options.json { print(done) }
      }
      return try PublishedFile.all(inFolder: folder)
    } catch ClientError.invalidInput(let reason) {
      throw nothingPublished("what the command wrote is no version: \(reason)")
    } catch { throw nothingPublished("what the command wrote cannot be signed: \(error)") }
  }

  private func publish(_ files: [PublishedFile], _ signals: borrowing SignalSource) throws {
    let (publication, options, source) = (publication, options, shellText(command))
    let signal = try Interruptible.run(signals) {
      try publication.publish(source: source, to: options) { files }
    }
    if let signal {
      throw failure(
        "\(signalText(signal)) came while the version was sent; see in apus model list whether it serves")
    }
  }
}

/// An empty folder that only its owner can open, in `$TMPDIR` or `/tmp`.
///
/// - Returns: its absolute path.
private func makeOutputFolder() throws(SystemError) -> String {
  let set = getenv("TMPDIR").map { String(cString: $0) } ?? ""
  let parent = set.isEmpty ? "/tmp" : set
  var template = Array("\(parent)/apus-refresh-XXXXXX".utf8CString)
  guard mkdtemp(&template) != nil, let absolute = realpath(template, nil) else {
    throw SystemError("make a folder in \(parent)", errorNumber: errno)
  }
  defer { free(absolute) }
  return String(cString: absolute)
}

/// A command as a person would type it, on one line, as far as the history keeps it.
func shellText(_ words: [String]) -> String {
  let line = words.map(quoted).joined(separator: " ").unicodeScalars.map { scalar in
    scalar.properties.generalCategory == .control ? " " : scalar
  }
  let most = VersionManifest.maximumSourceBytes
  guard line.reduce(0, { $0 + $1.utf8.count }) > most else {
    return String(String.UnicodeScalarView(line))
  }
  let mark: Unicode.Scalar = "…"
  var cut: [Unicode.Scalar] = []
  var bytes = mark.utf8.count
  for scalar in line {
    bytes += scalar.utf8.count
    guard bytes <= most else { break }
    cut.append(scalar)
  }
  return String(String.UnicodeScalarView(cut + [mark]))
}

/// A word that a shell reads as it is.
private func quoted(_ word: String) -> String {
  let isPlain = word.utf8.allSatisfy { byte in
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "_@%+=:,./-".utf8.contains(byte)
    }
  }
  guard !isPlain || word.isEmpty else { return word }
  let parts = word.split(separator: "'", omittingEmptySubsequences: false)
  return "'" + parts.joined(separator: "'\\''") + "'"
}
