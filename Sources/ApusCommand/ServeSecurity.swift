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
  /// The same certificate, for HTTP.
  let httpCredentials: TLSCredentials?
  let access: AccessControl
  private let tls: ServeConfiguration.TLS?
  private let policy: String?
  private let log: Logger
  private var tlsFiles: [WatchedFile]
  private var policyFiles: [WatchedFile]

  /// - Throws: `CommandFailure` that names the file and what is wrong with it.
  init(_ told: ServeConfiguration, _ log: Logger) throws(CommandFailure) {
    tls = told.tls
    policy = told.policy
    self.log = log
    let tlsPaths = [told.tls?.certificate, told.tls?.key, told.tls?.clientCA]
    tlsFiles = tlsPaths.compactMap { $0 }.map { WatchedFile($0) }
    policyFiles = told.policy.map { [WatchedFile($0)] } ?? []
    credentials = try tls.map { tls throws(CommandFailure) in
      let context = try Self.context(tls)
      Self.tellValidity(of: context, log)
      return TLSCredentials(context)
    }
    httpCredentials = try tls.map { tls throws(CommandFailure) in
      TLSCredentials(try Self.context(tls, .http))
    }
    access = AccessControl(try policy.map { path throws(CommandFailure) in try Self.policy(path) })
  }

  /// Whether there is anything that may change.
  var watchesFiles: Bool { tls != nil || policy != nil }

  /// Reads again what has changed since the last time, or everything where `always`. Looking takes no memory.
  func reload(always: Bool = false) {
    if Self.haveChanged(&tlsFiles) || always { reloadCertificates() }
    if Self.haveChanged(&policyFiles) || always { reloadPolicy() }
  }

  /// Whether one of them has since the last time; every one is looked at.
  private static func haveChanged(_ files: inout [WatchedFile]) -> Bool {
    var haveChanged = false
    for index in files.indices where files[index].hasChanged() { haveChanged = true }
    return haveChanged
  }

  private func reloadCertificates() {
    guard let tls, let credentials, let httpCredentials else { return }
    do throws(CommandFailure) {
      let context = try Self.context(tls)
      httpCredentials.replace(try Self.context(tls, .http))
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

  static func context(
    _ tls: ServeConfiguration.TLS, _ application: TLSApplication = .apus
  ) throws(CommandFailure) -> TLSContext {
    var configuration = TLSServerConfiguration(
      certificateChain: try bytes(tls.certificate), privateKey: try bytes(tls.key))
    if let path = tls.clientCA { configuration.clientAuthorities = try bytes(path) }
    configuration.minimumVersion = TLSVersion(rawValue: tls.minimumVersion) ?? .v13
    configuration.application = application
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

/// A file, or the file that a link leads to, that may be written or replaced.
private struct WatchedFile {
  private let path: ContiguousArray<CChar>
  private var stamp: Stamp

  init(_ path: String) {
    self.path = path.utf8CString
    stamp = Stamp(self.path)
  }

  /// Whether it is another since the last time.
  mutating func hasChanged() -> Bool {
    let now = Stamp(path)
    defer { stamp = now }
    return now != stamp
  }

  private struct Stamp: Equatable {
    private var device: UInt64 = 0
    private var inode: UInt64 = 0
    private var size = 0
    private var seconds = 0
    private var nanoseconds = 0

    init(_ path: ContiguousArray<CChar>) {
      var information = stat()
      let result = path.withUnsafeBufferPointer { $0.baseAddress.map { stat($0, &information) } }
      guard result == 0 else { return }
      device = UInt64(information.st_dev)
      inode = UInt64(information.st_ino)
      size = Int(information.st_size)
      seconds = information.st_mtim.tv_sec
      nanoseconds = information.st_mtim.tv_nsec
    }
  }
}
