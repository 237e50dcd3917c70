import ApusBase
package import ApusIO
package import ApusServer
import Glibc

/// A gateway that serves.
package protocol RunningGateway: Sendable {
  /// With the ports that the kernel chose.
  var addresses: [Address] { get }
  /// Answers what has come, and returns when its threads have ended.
  func drain()
}

/// HTTP, which only one of the two executables holds.
package enum Gateway {
  package typealias Starter =
    @Sendable (Server, GatewaySettings) throws -> any RunningGateway

  private static let installed = Locked<Starter?>(nil)

  /// nil: this executable cannot serve HTTP.
  static var starter: Starter? { installed.withLock { $0 } }

  /// Makes this executable one that can.
  package static func install(_ starter: @escaping Starter) { installed.withLock { $0 = starter } }
}

/// The executable with the gateway in it, beside this one: HTTP libraries make a process start slower and
/// take more memory, so who serves without HTTP is spared them.
enum GatewayExecutable {
  private static let name = "apus-gateway"

  /// Becomes the other executable, with the same arguments, environment, descriptors and process id.
  ///
  /// - Returns: why that failed.
  static func run() -> CommandFailure {
    guard let path = path(of: name) else { return CommandFailure("the path of this program is not known") }
    var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
    execv(path, &arguments)
    let reason = String(cString: strerror(errno))
    for argument in arguments { free(argument) }
    return CommandFailure("\(path), which serves HTTP, cannot be run: \(reason); install it beside apus")
  }

  /// Where a program lies that was installed beside this one; nil: the kernel cannot tell.
  static func path(of name: String) -> String? {
    ownPath().map { $0[...($0.lastIndex(of: "/") ?? $0.startIndex)] + name }
  }

  private static func ownPath() -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
      guard let base = buffer.baseAddress else { return nil }
      let count = readlink("/proc/self/exe", base, buffer.count)
      guard count > 0 else { return nil }
      return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
}
