import ApusAccess
import ApusIO
import ApusServer
import ApusTLS
import ApusYAML
import Glibc
import Logging

/// The certificates and the policy of a server: read at the start, and again on SIGHUP and when a file has
/// changed. What cannot be read later leaves the old in force.
final class ServeSecurity {
  /// nil: nothing is encrypted.
  let credentials: TLSCredentials?
  let access: AccessControl
  private let tls: ServeConfiguration.TLS?
  private let policy: String?
  private let log: Logger
  private var tlsStamps: [FileStamp]
  private var policyStamps: [FileStamp]

  /// - Throws: `CommandFailure` that names the file and what is wrong with it.
  init(_ told: ServeConfiguration, _ log: Logger) throws(CommandFailure) {
    tls = told.tls
    policy = told.policy
    self.log = log
    tlsStamps = Self.stamps(of: tls)
    policyStamps = Self.stamps(of: policy)
    credentials = try tls.map { tls throws(CommandFailure) in
      let context = try Self.context(tls)
      Self.tellValidity(of: context, log)
      return TLSCredentials(context)
    }
    access = AccessControl(try policy.map { path throws(CommandFailure) in try Self.policy(path) })
  }

  private static func stamps(of tls: ServeConfiguration.TLS?) -> [FileStamp] {
    [tls?.certificate, tls?.key, tls?.clientCA].compactMap { $0 }.map { FileStamp($0) }
  }

  private static func stamps(of policy: String?) -> [FileStamp] { policy.map { [FileStamp($0)] } ?? [] }

  /// Whether there is anything that may change.
  var watchesFiles: Bool { tls != nil || policy != nil }

  /// Reads again what has changed since the last time, or everything where `always`.
  func reload(always: Bool = false) {
    let tlsNow = Self.stamps(of: tls)
    if always || tlsNow != tlsStamps { reloadCertificates() }
    tlsStamps = tlsNow
    let policyNow = Self.stamps(of: policy)
    if always || policyNow != policyStamps { reloadPolicy() }
    policyStamps = policyNow
  }

  private func reloadCertificates() {
    guard let tls, let credentials else { return }
    do throws(CommandFailure) {
      let context = try Self.context(tls)
      credentials.replace(context)
      log.info("the certificate was read again")
      Self.tellValidity(of: context, log)
    } catch { log.error("the certificate stays as it was: \(error)") }
  }

  private func reloadPolicy() {
    guard let path = policy else { return }
    do throws(CommandFailure) {
      access.replace(try Self.policy(path))
      log.info("the policy was read again")
    } catch { log.error("the policy stays as it was: \(error)") }
  }

  private static func tellValidity(of context: TLSContext, _ log: Logger) {
    let days = (context.notAfter - Int64(time(nil))) / 86_400
    if days < 0 {
      log.error("the certificate has expired: clients will refuse it")
    } else if days < 14 {
      log.warning("the certificate expires in \(days) days")
    }
  }

  static func context(_ tls: ServeConfiguration.TLS) throws(CommandFailure) -> TLSContext {
    var configuration = TLSServerConfiguration(
      certificateChain: try bytes(tls.certificate), privateKey: try bytes(tls.key))
    if let path = tls.clientCA { configuration.clientAuthorities = try bytes(path) }
    configuration.minimumVersion = TLSVersion(rawValue: tls.minimumVersion) ?? .v13
    do { return try TLSContext(server: configuration) } catch {
      throw CommandFailure("\(tls.certificate), \(tls.key): \(error)")
    }
  }

  static func policy(_ path: String) throws(CommandFailure) -> Policy {
    let text = String(decoding: try bytes(path), as: UTF8.self)
    do { return try Policy(yaml: text, source: path) } catch { throw CommandFailure("\(error)") }
  }

  private static func bytes(_ path: String) throws(CommandFailure) -> [UInt8] {
    do { return try fileBytes(path, atMost: 4 << 20) } catch { throw CommandFailure("\(error)") }
  }
}

/// What changes when a file, or the file that a link leads to, is written or replaced.
private struct FileStamp: Equatable {
  private var device: UInt64 = 0
  private var inode: UInt64 = 0
  private var size = 0
  private var seconds = 0
  private var nanoseconds = 0

  init(_ path: String) {
    var information = stat()
    guard stat(path, &information) == 0 else { return }
    device = UInt64(information.st_dev)
    inode = UInt64(information.st_ino)
    size = Int(information.st_size)
    seconds = information.st_mtim.tv_sec
    nanoseconds = information.st_mtim.tv_nsec
  }
}
