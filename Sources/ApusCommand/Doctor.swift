import ApusBase
import ApusEngine
import ApusIO
import ApusJSON
import ArgumentParser
import Glibc

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Look at what this machine gives a server, and say what to change.",
    discussion: """
      Limits, processor, kernel settings, folders and files. Run it as the user who serves. Each line begins \
      with ok, note or problem. Exit status 1 if there is a problem.
      """)

  @Option(help: ArgumentHelp("The file, as apus serve takes it. Default: $APUS_CONFIG.", valueName: "file"))
  var config: String?

  @Flag(help: "Print one JSON document.")
  var json = false

  func run() throws {
    let told: ServeConfiguration
    do throws(ConfigurationError) {
      told = try ServeConfiguration(file: config, environment: environmentVariables())
    } catch { throw failure(error.description, status: 2) }
    let findings = machine(told) + files(told)
    if json {
      let list = findings.map { finding -> JSON in
        [
          "level": .string(finding.level.rawValue), "subject": .string(finding.subject),
          "text": .string(finding.text),
        ]
      }
      print(JSON.array(list))
    } else {
      for finding in findings {
        print(printable("\(finding.level.rawValue): \(finding.subject): \(finding.text)"))
      }
    }
    if findings.contains(where: { $0.level == .problem }) { throw ExitCode(1) }
  }

  private func machine(_ told: ServeConfiguration) -> [Finding] {
    [
      DoctorChecks.descriptors(
        hard: Self.limit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue)).hard,
        connections: told.limits.connections),
      DoctorChecks.memoryLock(soft: Self.limit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue)).soft),
      DoctorChecks.processor(Self.text("/proc/cpuinfo") ?? ""),
      .ok("BLAS", "\(blasConfiguration), kernels for \(blasCoreName)"),
      DoctorChecks.governor(Self.text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
      DoctorChecks.hugePages(Self.text("/sys/kernel/mm/transparent_hugepage/enabled")),
      DoctorChecks.waitingConnections(Self.text("/proc/sys/net/core/somaxconn")),
      DoctorChecks.quota(Self.quota(), threads: told.threads),
    ]
  }

  private func files(_ told: ServeConfiguration) -> [Finding] {
    var findings: [Finding] = []
    for case .unix(let path) in told.listen {
      let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
      findings.append(
        DoctorChecks.socketFolder(
          folder, mode: Self.mode(folder), isWritable: access(folder, W_OK | X_OK) == 0))
    }
    for path in [told.policy, told.tls?.key].compactMap({ $0 }) {
      findings.append(DoctorChecks.secretFile(path, mode: Self.mode(path)))
    }
    return findings
  }

  private static func limit(_ resource: __rlimit_resource_t) -> (soft: UInt64, hard: UInt64) {
    var limit = rlimit()
    _ = getrlimit(resource, &limit)
    return (UInt64(limit.rlim_cur), UInt64(limit.rlim_max))
  }

  private static func text(_ path: String) -> String? {
    (try? fileBytes(path, atMost: 4 << 20)).map { String(decoding: $0, as: UTF8.self) }
  }

  private static func mode(_ path: String) -> UInt32? {
    var information = stat()
    return stat(path, &information) == 0 ? UInt32(information.st_mode) : nil
  }

  /// cpu.max of this process's control group (cgroups(7), version 2), else of the root that a container sees.
  private static func quota() -> String? {
    let line = (text("/proc/self/cgroup") ?? "").split(separator: "\n").first { $0.hasPrefix("0::") }
    let group = line.map { String($0.dropFirst(3)) } ?? "/"
    return text("/sys/fs/cgroup\(group)/cpu.max") ?? text("/sys/fs/cgroup/cpu.max")
  }
}
