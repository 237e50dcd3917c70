import ApusBase
import ApusIO
import ApusJSON
import CLinux
import Glibc
import Logging

/// The store that holds the models, where `models` is a URL: a process beside this one, `apus-store`, keeps a
/// folder in step with it, so that no HTTP and no XML runs in the server.
final class RemoteStore: Sendable {
  /// The folder to serve.
  let cache: String
  private let url: String
  private let program: String
  private let options: [String]
  private let intervalSeconds: Int
  private let log: Logger
  /// A byte in it ends the thread.
  private let ending: StorePipe
  private let follower = Locked<Thread?>(nil)

  /// Brings the folder into step once.
  ///
  /// - Returns: nil where the models lie in a folder of this machine.
  /// - Throws: `CommandFailure` where the store cannot be had and the folder has no model either.
  static func open(_ told: ServeConfiguration, _ log: Logger) throws -> RemoteStore? {
    guard let settings = told.store else { return nil }
    let store = try RemoteStore(settings, log)
    try store.bring()
    return store
  }

  private init(_ settings: ServeConfiguration.Store, _ log: Logger) throws {
    url = settings.url
    guard let program = GatewayExecutable.path(of: "apus-store"), access(program, X_OK) == 0 else {
      throw CommandFailure(
        "models are at \(settings.shownURL), and apus-store is not beside this program; install it there")
    }
    self.program = program
    guard let cache = settings.cache ?? settings.standardCache() else {
      throw CommandFailure(
        "there is no folder for what comes from \(settings.shownURL); name one by store.cache")
    }
    self.cache = cache
    intervalSeconds = settings.intervalSeconds
    let flags = [
      ("--endpoint", settings.endpoint), ("--region", settings.region), ("--ca", settings.certificates),
    ]
    options = flags.flatMap { flag, value in value.map { [flag, $0] } ?? [] }
    self.log = log
    do throws(SystemError) { ending = try StorePipe() } catch { throw CommandFailure("\(error)") }
    log.info("models come from \(printable(settings.shownURL)) into \(printable(cache))")
  }

  private func bring() throws {
    var last = "it ended without a word"
    let status: Int32
    do throws(SystemError) {
      status = try runOnce(["--once"]) { line in
        guard case .problem(let text) = line else { return }
        last = text
        log.warning("the store: \(printable(text))")
      }
    } catch { throw CommandFailure("\(error)") }
    guard status != 0 else { return }
    guard hasModels else {
      throw CommandFailure("the store cannot be used, and \(printable(cache)) is empty: \(printable(last))")
    }
    log.warning("the store is not in step; what \(printable(cache)) holds is served")
  }

  /// Whether the folder holds anything that is a model's.
  private var hasModels: Bool {
    guard let stream = opendir(cache) else { return false }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { return true }
    }
    return false
  }

  // MARK: Following

  private static let longestWaitSeconds = 60

  /// Keeps the folder in step from now on. `changed` is called where it may have changed: after each change,
  /// and once in an interval, as another server's follower may bring changes into the same folder.
  func follow(_ changed: @escaping @Sendable () throws(SystemError) -> Void) throws(SystemError) {
    let log = log
    let thread = try Thread(name: "apus-store") { [self] in
      run {
        do throws(SystemError) { try changed() } catch { log.error("the models stay as they are: \(error)") }
      }
    }
    let started = Locked<Thread?>(thread)
    follower.withLock { $0 = started.withLock { $0.take() } }
  }

  /// Ends the process and the thread.
  func end() {
    ending.signal()
    let thread = follower.withLock { $0.take() }
    thread?.join()
  }

  /// The kernel ends the process when the thread ends that started it: so this one starts it, and lives long.
  private func run(_ changed: @Sendable () -> Void) {
    var waitSeconds = 1
    var problem: String?
    while true {
      do throws(SystemError) {
        let status = try runOnce(["--follow", "--interval", "\(intervalSeconds)"]) { line in
          switch line {
          case .changed, .quiet:
            waitSeconds = 1
            changed()
          case .inStep:
            if problem != nil { log.info("the store is in step again") }
            problem = nil
          case .problem(let text):
            problem = text
            log.warning("the store: \(printable(text))")
          }
        }
        if ending.isSignalled(withinSeconds: 0) { return }
        log.error("apus-store ended with status \(status); it starts again in \(waitSeconds) s")
      } catch {
        log.error("the store is not followed: \(error); the next attempt is in \(waitSeconds) s")
      }
      changed()
      if ending.isSignalled(withinSeconds: waitSeconds) { return }
      waitSeconds = min(waitSeconds * 2, Self.longestWaitSeconds)
    }
  }

  /// What the process says.
  private enum Line {
    case changed
    case inStep
    case problem(String)
    /// An interval has passed without a word.
    case quiet
  }

  /// Runs `apus-store sync` to its end.
  ///
  /// - Returns: its status, 128 and the signal's number above where a signal ended it.
  private func runOnce(_ mode: [String], _ take: (Line) -> Void) throws(SystemError) -> Int32 {
    let pipe = try StorePipe()
    let arguments = ["sync", url, cache, "--json", "--parent", "\(getpid())"] + mode + options
    let start = ChildStart(
      program: program, arguments: arguments, output: pipe.writing.number, errors: pipe.writing.number)
    let process = try start.start()
    // The pipe ends with the process, which is its only writer now.
    let output = pipe.takeReading()
    var lines = StoreLines()
    reading: while true {
      switch waitForStore(output, ending, seconds: intervalSeconds) {
      case .nothing: take(.quiet)
      case .signal:
        // At every moment the folder holds whole versions only.
        kill(process, SIGKILL)
        break reading
      case .readable:
        guard let found = lines.read(from: output) else { break reading }
        for line in found { tell(line, take) }
      }
    }
    switch waitForChild(process) {
    case .status(let status): return status
    case .signal(let number): return 128 + number
    }
  }

  /// A line is a document of `--json`, or what was said on standard error.
  private func tell(_ line: String, _ take: (Line) -> Void) {
    guard line.hasPrefix("{") else {
      let name = "apus-store: "
      return take(.problem(line.hasPrefix(name) ? String(line.dropFirst(name.count)) : line))
    }
    guard let document = try? JSON(parsing: Array(line.utf8)) else { return take(.changed) }
    if document["in_step"] == .boolean(true) { take(.inStep) }
    take(.changed)
  }
}
