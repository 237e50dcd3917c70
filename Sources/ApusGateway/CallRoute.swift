import ApusWire
import HTTPTypes

/// A path that takes calls of models, and the form of its bodies.
struct CallRoute: Equatable {
  enum Form { case classify, tutorials, inference }

  let form: Form
  /// As the path has them; empty where it names none.
  var model = ""
  var version = ""
  var alias = ""

  /// nil: the request is no call of a model.
  init?(_ head: HTTPRequest) {
    guard head.method == .post, let path = head.path else { return nil }
    self.init(path: path)
  }

  /// Of `/classify`, `/v1/models/NAME[/versions/V|/aliases/A]:classify` or
  /// `/v2/models/NAME[/versions/V]/infer`; what follows a question mark is not looked at.
  init?(path: String) {
    let bare = path.utf8.prefix { $0 != UInt8(ascii: "?") }
    let parts = bare.split(separator: UInt8(ascii: "/")).map(Self.text)
    switch parts.count {
    case 1 where parts[0] == "classify": form = .tutorials
    case 3... where parts[0] == "v1" && parts[1] == "models":
      guard let verb = parts.last, verb.hasSuffix(Self.verb) else { return nil }
      form = .classify
      self.take(parts[2..<parts.count - 1] + [String(verb.dropLast(Self.verb.count))])
      guard isChosen(by: parts.count - 2) else { return nil }
    case 4... where parts[0] == "v2" && parts[1] == "models" && parts.last == "infer":
      form = .inference
      self.take(parts[2..<parts.count - 1])
      guard isChosen(by: parts.count - 3), alias.isEmpty else { return nil }
    default: return nil
    }
  }

  private static let verb = ":classify"

  private mutating func take(_ parts: ArraySlice<String>) {
    model = parts[parts.startIndex]
    guard parts.count == 3 else { return }
    switch parts[parts.startIndex + 1] {
    case "versions": version = parts[parts.startIndex + 2]
    case "aliases": alias = parts[parts.startIndex + 2]
    default: break
    }
  }

  /// Whether so many parts of a path are a model alone, or one with a version or an alias.
  private func isChosen(by parts: Int) -> Bool {
    parts == 1 || parts == 3 && version.isEmpty != alias.isEmpty
  }

  /// A part of a path without its percent-encoding (RFC 3986, section 2.1).
  private static func text(_ part: Substring.UTF8View.SubSequence) -> String {
    guard part.contains(UInt8(ascii: "%")) else { return String(Substring(part)) }
    var bytes: [UInt8] = []
    var rest = part
    while let byte = rest.popFirst() {
      let digits = rest.prefix(2)
      if byte == UInt8(ascii: "%"), digits.count == 2, let decoded = UInt8(Substring(digits), radix: 16) {
        bytes.append(decoded)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// The path's and the body's choice of a version.
struct ModelChoice {
  var name: String
  var version: UInt64 = 0
  var alias = ""

  init(name: String) { self.name = name }

  /// - Throws: NOT_FOUND for a version that is no number.
  init(_ name: String, version text: String, alias: String) throws(Status) {
    self.name = name
    self.alias = alias
    guard !text.isEmpty else { return }
    guard let number = UInt64(text), number > 0 else {
      throw Status(.notFound, "VERSION_NOT_FOUND", "a version is a number from 1 on")
    }
    version = number
  }
}
