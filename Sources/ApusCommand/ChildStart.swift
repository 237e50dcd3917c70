import ApusIO
@preconcurrency import Glibc

/// A program that is started as a child of this process. It reads nothing, no signal is blocked in it, and
/// SIGPIPE ends it.
struct ChildStart {
  /// A path, or a name that is looked for in PATH.
  var program: String
  var arguments: [String]
  /// Added to this process's own environment, where they stand for the same names.
  var variables: [(name: String, value: String)] = []
  /// Descriptors that its standard output and its standard error become.
  var output: Int32
  var errors: Int32
  /// Whether it leads a process group, whose number is then its own.
  var leadsGroup = false

  /// - Returns: its process, which the caller must wait for.
  /// - Throws: `SystemError`, ENOENT where there is no such program.
  func start() throws(SystemError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)
    var set = sigset_t()
    sigemptyset(&set)
    posix_spawnattr_setsigmask(&attributes, &set)
    sigaddset(&set, SIGPIPE)
    posix_spawnattr_setsigdefault(&attributes, &set)
    let group = leadsGroup ? POSIX_SPAWN_SETPGROUP : 0
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group))
    var words = ([program] + arguments).map { strdup($0) } + [nil]
    let added = variables.map { strdup("\($0.name)=\($0.value)") }
    var environment = added + inherited + [nil]
    defer { for word in words + added { free(word) } }
    var process: pid_t = 0
    let code = posix_spawnp(&process, program, &actions, &attributes, &words, &environment)
    guard code == 0 else { throw SystemError("start \(program)", errorNumber: code) }
    return process
  }

  /// What the child has of this process's environment, byte for byte.
  ///
  /// Invariant of the unsafe code here: `environ` ends with nil, and nothing in this program changes it.
  private var inherited: [UnsafeMutablePointer<CChar>?] {
    let replaced = variables.map { $0.name + "=" }
    var entries: [UnsafeMutablePointer<CChar>?] = []
    var place = environ
    while let entry = place.pointee {
      place += 1
      if !replaced.contains(where: { strncmp(entry, $0, $0.utf8.count) == 0 }) { entries.append(entry) }
    }
    return entries
  }
}

/// How a child ended.
enum ChildEnd: Equatable {
  /// By itself, with this exit status.
  case status(Int32)
  /// By a signal of this number.
  case signal(Int32)
}

/// Waits until a child has ended; its number may be another process's then.
func waitForChild(_ process: pid_t) -> ChildEnd {
  var status: Int32 = 0
  while waitpid(process, &status, 0) < 0, errno == EINTR {}
  let signal = status & 0x7F
  return signal == 0 ? .status((status >> 8) & 0xFF) : .signal(signal)
}
