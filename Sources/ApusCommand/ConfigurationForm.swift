import ApusIO
import ApusYAML

/// A value of the configuration.
enum ConfigurationValue: Equatable, Sendable {
  case addresses([Address])
  /// Where HTTP is served, over TCP or TLS.
  case httpAddresses([Address])
  /// Of a file or folder; a relative one is relative to the working directory.
  case path(String)
  case text(String)
  case number(Int)
  case truth(Bool)
  /// Mode bits of a file.
  case mode(UInt32)
}

/// Which texts a key takes: the same ones in a file, a variable and a flag.
enum ConfigurationForm: Equatable, Sendable {
  /// The only one of several texts.
  case addresses
  /// `HOST:PORT` or `https://HOST:PORT`, one or several.
  case httpAddresses
  case file
  case folder
  /// One that is made if it is missing.
  case madeFolder
  /// A folder or the URL of a store.
  case repository
  case url
  /// A file to be written, or `-` for standard error.
  case output
  case number(ClosedRange<Int>)
  case truth
  case mode
  case choice([String])
  /// Of a model.
  case name

  /// Whether there may be several texts.
  var isList: Bool { self == .addresses || self == .httpAddresses }

  /// What a value must be, for messages and the documentation.
  var summary: String {
    switch self {
    case .addresses, .httpAddresses: "one or more addresses"
    case .file: "the path of a file"
    case .folder: "the path of a folder"
    case .madeFolder: "the path of a folder, which is made if it is missing"
    case .repository: "the path of a folder, or a URL with s3://, https:// or http://"
    case .url: "a URL with https:// or http://"
    case .output: "the path of a file, or - for standard error"
    case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
    case .truth: "true or false"
    case .mode: "three or four octal digits from 0000 to 0777"
    case .choice(let names): names.joined(separator: " or ")
    case .name: "a name"
    }
  }
}

/// Why a text does not fit; goes on after the name of what it was given for.
struct ConfigurationMisfit: Error, Equatable {
  let reason: String
}

extension ConfigurationForm {
  /// Reads the texts given for one key.
  ///
  /// - Parameter folder: ends in `/`, and stands before relative paths; or is empty.
  func parse(
    _ texts: [String], relativeTo folder: String = ""
  ) throws(ConfigurationMisfit) -> ConfigurationValue {
    if self == .addresses {
      return .addresses(
        try Self.addresses(texts) { (text) throws(ConfigurationMisfit) in
          try Self.address(text, in: folder)
        })
    }
    if self == .httpAddresses { return .httpAddresses(try Self.addresses(texts, Self.httpAddress)) }
    guard texts.count == 1 else { throw ConfigurationMisfit(reason: "must be \(summary)") }
    return try parse(texts[0], relativeTo: folder)
  }

  private func parse(
    _ text: String, relativeTo folder: String
  ) throws(ConfigurationMisfit) -> ConfigurationValue {
    guard !text.isEmpty else { throw ConfigurationMisfit(reason: "is empty; it must be \(summary)") }
    switch self {
    case .repository where text.contains("://"):
      if Self.isURL(text, ["s3://", "https://", "http://"]) { return .text(text) }
    case .url:
      if Self.isURL(text, ["https://", "http://"]) { return .text(text) }
    case .file, .folder, .madeFolder, .repository:
      if !text.utf8.contains(0) { return .path(absolute(text, in: folder)) }
    case .output:
      if !text.utf8.contains(0) { return .path(text == "-" ? text : absolute(text, in: folder)) }
    case .number(let range):
      if let number = Int(text), range.contains(number) { return .number(number) }
    case .truth:
      if let truth = Bool(text) { return .truth(truth) }
    case .mode:
      let isOctal = (3...4).contains(text.utf8.count) && text.allSatisfy { ("0"..."7").contains($0) }
      if isOctal, let bits = UInt32(text, radix: 8), bits <= 0o777 { return .mode(bits) }
    case .choice(let names):
      if names.contains(text) { return .text(text) }
    case .name: return .text(text)
    case .addresses, .httpAddresses: break
    }
    throw ConfigurationMisfit(reason: "must be \(summary), not \(shortened(text))")
  }

  /// Whether a scheme is there and something after it, without spaces and control characters.
  private static func isURL(_ text: String, _ schemes: [String]) -> Bool {
    schemes.contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
      && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
  }

  /// More than any host name or socket path has.
  private static let longestAddressBytes = 512

  private static func addresses(
    _ texts: [String], _ read: (String) throws(ConfigurationMisfit) -> Address
  ) throws(ConfigurationMisfit) -> [Address] {
    guard !texts.isEmpty else {
      throw ConfigurationMisfit(reason: "is empty; it must be one or more addresses")
    }
    var addresses: [Address] = []
    for text in texts {
      guard text.utf8.count <= longestAddressBytes else {
        throw ConfigurationMisfit(reason: "is wrong: \(shortened(text)) is too long for an address")
      }
      addresses.append(try read(text))
    }
    return addresses
  }

  private static func address(_ text: String, in folder: String) throws(ConfigurationMisfit) -> Address {
    let address: Address
    do throws(Address.Invalid) { address = try Address(located(text, in: folder)) } catch {
      throw ConfigurationMisfit(reason: "is wrong: \(error)")
    }
    if case .lane = address {
      throw ConfigurationMisfit(
        reason: "is wrong: \(shortened(text)) is for clients, which open lanes at a unix: address")
    }
    return address
  }

  /// What an HTTP address says of its socket: `https://HOST:PORT` is one of TLS, `HOST:PORT` one of TCP.
  private static func httpAddress(_ text: String) throws(ConfigurationMisfit) -> Address {
    var socket = "tcp://" + text
    for (scheme, other) in [("https://", "tls://"), ("http://", "tcp://")] where text.hasPrefix(scheme) {
      socket = other + text.dropFirst(scheme.count)
    }
    do throws(Address.Invalid) { return try Address(socket) } catch {
      throw ConfigurationMisfit(
        reason: "is wrong: \(shortened(text)) is no address of HTTP; write HOST:PORT or https://HOST:PORT")
    }
  }

  /// The address with its socket's path in `folder`, if it has a relative one.
  private static func located(_ address: String, in folder: String) -> String {
    let scheme = "unix:"
    guard address.hasPrefix(scheme), address != scheme else { return address }
    return scheme + absolute(String(address.dropFirst(scheme.count)), in: folder)
  }
}

/// A path, with `folder` before it if it is relative.
///
/// - Parameter folder: ends in `/`, or is empty.
func absolute(_ path: String, in folder: String) -> String { path.hasPrefix("/") ? path : folder + path }
