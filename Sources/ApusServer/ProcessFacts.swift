import ApusIO
import Glibc

/// What the kernel says of this process, read from /proc/self (proc(5)); a number that cannot be read is 0.
struct ProcessFacts {
  var cpuNanoseconds: UInt64 = 0
  var residentBytes: UInt64 = 0
  var virtualBytes: UInt64 = 0
  var threads: UInt64 = 0
  var openDescriptors: UInt64 = 0
  var descriptorLimit: UInt64 = 0

  /// When the process began, since 1970.
  static let startNanoseconds: UInt64 = {
    let ticks = statFields()[place(of: 22)]
    let perSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    let age = clock(CLOCK_BOOTTIME) &- ticks * (1_000_000_000 / perSecond)
    return clock(CLOCK_REALTIME) &- age
  }()

  static func now() -> ProcessFacts {
    var facts = ProcessFacts()
    let fields = statFields()
    facts.cpuNanoseconds = clock(CLOCK_PROCESS_CPUTIME_ID)
    facts.threads = fields[place(of: 20)]
    facts.virtualBytes = fields[place(of: 23)]
    facts.residentBytes = fields[place(of: 24)] * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    facts.openDescriptors = openDescriptorCount()
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      facts.descriptorLimit = UInt64(limit.rlim_cur)
    }
    return facts
  }

  /// Fields of /proc/self/stat behind the name, which may hold anything; what is no number is 0.
  private static func statFields() -> [UInt64] {
    let bytes = (try? fileBytes("/proc/self/stat", atMost: 4096)) ?? []
    let name = bytes.lastIndex(of: UInt8(ascii: ")")) ?? 0
    let fields = bytes[min(name + 1, bytes.count)...].split(separator: UInt8(ascii: " "))
    let numbers = fields.map { UInt64(String(decoding: $0, as: UTF8.self)) ?? 0 }
    return numbers + [UInt64](repeating: 0, count: max(0, 30 - numbers.count))
  }

  /// Where a field is among those behind the name; proc(5) counts from 1, and the name is the second.
  private static func place(of field: Int) -> Int { field - 3 }

  private static func clock(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Linux 6.2 and later say it as the folder's size; before, the names are counted, without the one that
  /// counting opens.
  private static func openDescriptorCount() -> UInt64 {
    var information = stat()
    if stat("/proc/self/fd", &information) == 0, information.st_size > 0 {
      return UInt64(information.st_size)
    }
    guard let folder = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(folder) }
    var names: UInt64 = 0
    while readdir(folder) != nil { names += 1 }
    return names > 3 ? names - 3 : 0
  }
}
