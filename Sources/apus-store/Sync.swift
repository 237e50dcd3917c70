import ApusStore
import ArgumentParser
import CLinux
import Glibc

struct Sync: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sync",
    abstract: "Bring FOLDER into step with the store at URL, once or for ever.",
    discussion: """
        apus-store sync s3://bucket/models cache
        apus-store sync https://models.example.com/repository cache --follow

      Credentials for S3 come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; without \
      them requests are not signed. A version appears when all of its files have come and their digests are \
      right. Nothing that is in FOLDER is changed or removed, but the state.json of a model.
      """)

  @Argument(help: "s3://BUCKET/PREFIX, https://HOST/PATH or http://HOST/PATH.")
  var url: String

  @Argument(help: "The folder; it is made if it is missing.")
  var folder: String

  @Flag(help: "Stop when the folder is in step. This is the default.")
  var once = false

  @Flag(help: "Look for changes until SIGTERM.")
  var follow = false

  @Option(help: ArgumentHelp("End when this process ends, which started this one.", visibility: .hidden))
  var parent: Int32?

  @Option(help: ArgumentHelp("Seconds between two looks, more or less.", valueName: "seconds"))
  var interval = 10.0

  @Option(
    help: ArgumentHelp("Another S3 than Amazon's. Default: $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL.",
      valueName: "url"))
  var endpoint: String?

  @Option(help: ArgumentHelp("Default: $AWS_REGION, $AWS_DEFAULT_REGION, us-east-1.", valueName: "name"))
  var region: String?

  @Option(
    help: ArgumentHelp("Certificates of those who may sign the store's, in PEM. Default: the system's.",
      valueName: "file"))
  var ca: String?

  @Option(help: ArgumentHelp("Models that are fetched at one time.", valueName: "n"))
  var concurrency = 4

  @Option(help: ArgumentHelp("Most bytes of a version.", valueName: "n"))
  var maxBytes = 64 << 30

  @Option(help: ArgumentHelp("Longest time to connect, and without bytes coming.", valueName: "seconds"))
  var timeout = 30

  @Flag(help: "Print what came as JSON: one document, or with --follow a line for each change.")
  var json = false

  func validate() throws {
    guard !(once && follow) else { throw ValidationError("--once and --follow exclude each other") }
    guard (0.1...86_400).contains(interval) else { throw ValidationError("--interval is from 0.1 to 86400") }
    guard (1...64).contains(concurrency) else { throw ValidationError("--concurrency is from 1 to 64") }
    guard (1...(1 << 50)).contains(maxBytes) else { throw ValidationError("--max-bytes is from 1 to 2^50") }
    guard (1...3600).contains(timeout) else { throw ValidationError("--timeout is from 1 to 3600") }
  }

  func run() throws {
    endBySignal()
    var settings = try StoreSettings(url: url, endpoint: endpoint, region: region)
    if let ca, access(ca, R_OK) != 0 {
      throw ValidationError("\(ca) cannot be read: name a PEM file by --ca")
    }
    settings.certificates = ca
    settings.timeoutSeconds = timeout
    settings.mostBytes = maxBytes
    settings.concurrency = concurrency
    settings.waitsForQuiet = follow
    var synchroniser = try Synchroniser(settings, LocalFolder(folder))
    var report = SyncReport(url: url, isJSON: json)
    while true {
      let outcome = synchroniser.run()
      report.tell(outcome, isOnlyOne: !follow)
      guard follow else {
        if outcome.isInStep { return }
        throw ExitCode(1)
      }
      pause(interval * Double.random(in: 0.9...1.1))
    }
  }

  /// At every moment the folder holds whole versions only, and what has begun to come can be gone on with: so
  /// the process may end anywhere, at once.
  private func endBySignal() {
    if follow {
      signal(SIGTERM) { _ in _exit(0) }
      signal(SIGINT) { _ in _exit(0) }
    } else {
      signal(SIGTERM) { _ in _exit(1) }
      signal(SIGINT) { _ in _exit(1) }
    }
    signal(SIGPIPE, SIG_IGN)
    // A parent that blocks signals for its threads hands that down.
    var all = sigset_t()
    sigemptyset(&all)
    sigprocmask(SIG_SETMASK, &all, nil)
    if let parent, clinux_end_with_parent(parent) != 0 { _exit(1) }
  }
}
