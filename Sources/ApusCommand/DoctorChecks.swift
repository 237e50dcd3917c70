import Glibc

/// What `apus doctor` says about one thing.
struct Finding: Equatable {
  enum Level: String { case ok, note, problem }

  let level: Level
  let subject: String
  /// What is so and, unless it is well, what to change and why.
  let text: String

  static func ok(_ subject: String, _ text: String) -> Finding {
    Finding(level: .ok, subject: subject, text: text)
  }
  static func note(_ subject: String, _ text: String) -> Finding {
    Finding(level: .note, subject: subject, text: text)
  }
  static func problem(_ subject: String, _ text: String) -> Finding {
    Finding(level: .problem, subject: subject, text: text)
  }
}

/// Judgements on what the kernel's files say; each takes texts, so that tests can give others.
enum DoctorChecks {
  /// - Parameter hard: the hard limit, to which the server raises its own.
  static func descriptors(hard: UInt64, connections: Int) -> Finding {
    // Model files, sockets, epoll and eventfd descriptors of up to 256 threads.
    let needed = UInt64(connections) + 1024
    if hard >= needed { return .ok("open files", "\(hard) are allowed") }
    return .problem(
      "open files",
      "only \(hard) are allowed and limits.connections is \(connections); set LimitNOFILE=\(needed) in the "
        + "unit or lower limits.connections, else clients wait unanswered")
  }

  static func memoryLock(soft: UInt64) -> Finding {
    let text = soft == UInt64.max ? "unlimited" : "\(soft) bytes"
    return .ok("locked memory", "\(text); the server locks none")
  }

  /// - Parameter text: /proc/cpuinfo.
  static func processor(_ text: String) -> Finding {
    let model = field("model name", text) ?? "unknown model"
    let flags = Set((field("flags", text) ?? "").split(separator: " "))
    let known = [
      ("avx2", "AVX2"), ("fma", "FMA"), ("avx512f", "AVX-512"), ("avx512_vnni", "AVX-512 VNNI"),
      ("avx_vnni", "AVX-VNNI"),
    ]
    let found = known.filter { flags.contains(Substring($0.0)) }.map { $0.1 }.joined(separator: ", ")
    if flags.contains("avx2"), flags.contains("fma") { return .ok("processor", "\(model): \(found)") }
    return .note(
      "processor",
      "\(model) has no AVX2 with FMA; calls take several times as long as on one that has them")
  }

  /// The first value of a key of /proc/cpuinfo.
  static func field(_ key: String, _ text: String) -> String? {
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":"), trimmed(line[..<colon]) == key else { continue }
      return trimmed(line[line.index(after: colon)...])
    }
    return nil
  }

  /// - Parameter text: scaling_governor of cpufreq; nil where there is none.
  static func governor(_ text: String?) -> Finding {
    guard let name = text.map({ trimmed(Substring($0)) }), !name.isEmpty else {
      return .ok("scaling governor", "not visible here, as in most virtual machines")
    }
    if name == "performance" { return .ok("scaling governor", name) }
    return .note(
      "scaling governor",
      "\(name); `cpupower frequency-set -g performance` keeps the clock up between calls, which come faster")
  }

  /// - Parameter text: /sys/kernel/mm/transparent_hugepage/enabled, with the choice in brackets.
  static func hugePages(_ text: String?) -> Finding {
    guard let text, let open = text.firstIndex(of: "["), let close = text.firstIndex(of: "]"), open < close
    else { return .ok("transparent huge pages", "not visible here") }
    let choice = text[text.index(after: open)..<close]
    if choice != "always" { return .ok("transparent huge pages", String(choice)) }
    return .note(
      "transparent huge pages",
      "always; write madvise to /sys/kernel/mm/transparent_hugepage/enabled if memory should stay smallest")
  }

  /// - Parameter text: /proc/sys/net/core/somaxconn.
  static func waitingConnections(_ text: String?) -> Finding {
    guard let text, let number = Int(trimmed(Substring(text))) else {
      return .ok("somaxconn", "not visible here")
    }
    if number >= 4096 { return .ok("somaxconn", "\(number) connections may wait") }
    return .note(
      "somaxconn",
      "\(number); set net.core.somaxconn=4096, else a burst of clients finds the queue full")
  }

  /// - Parameters:
  ///   - text: cpu.max of a control group: a quota or `max`, and the period, both in microseconds.
  ///   - threads: those that serve.
  static func quota(_ text: String?, threads: Int) -> Finding {
    let words = (text ?? "").split(whereSeparator: { $0 == " " || $0 == "\n" })
    guard words.count == 2, let quota = Double(words[0]), let period = Double(words[1]), period > 0 else {
      return .ok("processor quota", "none for \(threads) threads")
    }
    let processors = quota / period
    let shown = formatted(processors, "%.2f")
    if Double(threads) <= max(1, processors) {
      return .ok("processor quota", "\(shown) processors for \(threads) threads")
    }
    return .problem(
      "processor quota",
      "\(shown) processors for \(threads) threads, which are stopped when it is used up; give "
        + "--threads \(max(1, Int(processors))) or a larger quota")
  }

  /// - Parameter mode: st_mode of the folder that holds a socket; nil where there is none.
  static func socketFolder(_ path: String, mode: UInt32?, isWritable: Bool) -> Finding {
    let subject = "folder \(path)"
    guard let mode, mode & S_IFMT == S_IFDIR else {
      return .problem(subject, "does not exist; make it, or set RuntimeDirectory= in the unit")
    }
    if mode & 0o002 != 0, mode & S_ISVTX == 0 {
      return .problem(subject, "anyone may replace the socket in it; chmod o-w \(path)")
    }
    if !isWritable {
      return .problem(subject, "this user may not make a socket in it; choose another or change its owner")
    }
    if mode & 0o002 != 0 {
      return .note(subject, "anyone may take the socket's name first; prefer a folder of the server's own")
    }
    return .ok(subject, "this user may make a socket in it")
  }

  /// A policy or a private key. - Parameter mode: st_mode; nil where there is no file.
  static func secretFile(_ path: String, mode: UInt32?) -> Finding {
    let subject = "file \(path)"
    guard let mode, mode & S_IFMT == S_IFREG else {
      return .problem(subject, "cannot be found; the server would not start")
    }
    let shown = String(mode & 0o777, radix: 8)
    if mode & 0o022 != 0 {
      return .problem(subject, "mode \(shown): others may change it; chmod go-w \(path)")
    }
    if mode & 0o004 != 0 {
      return .note(subject, "mode \(shown): every user may read it; chmod o-r \(path)")
    }
    return .ok(subject, "mode \(shown)")
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text.drop { $0.isWhitespace })
  }
}
