import ApusYAML
@preconcurrency import Glibc

extension ConfigurationLayer {
  /// The variable that names the file.
  static let fileVariable = "APUS_CONFIG"

  /// Names that clients, tests and tools use, and that say nothing to the server.
  private static let otherVariables = [
    "APUS_BINARY", "APUS_ADDRESS", "APUS_TOKEN_FILE", "APUS_INTERPOSE", "APUS_REFRESH_OUTPUT",
    "APUS_REFRESH_MODEL", "APUS_REFRESH_VERSION",
  ]

  /// What the environment says.
  ///
  /// - Parameter variables: those whose names begin with `APUS_`.
  init(environment variables: [String: String]) {
    self.init()
    for (name, text) in variables.sorted(by: { $0.key < $1.key }) {
      if let key = ConfigurationKey.allCases.first(where: { $0.variable == name }) {
        set(key, key.form.isList ? Self.parts(text) : [text], from: .environment)
      } else if name != Self.fileVariable, !Self.otherVariables.contains(name), !Self.isServiceLink(name) {
        refuseVariable(name)
      } else if name == Self.fileVariable, text.isEmpty {
        refuse("\(name) is empty; it must be the path of a file")
      }
    }
  }

  /// `unix:/run/a.sock, tcp://127.0.0.1:7070` as two texts.
  private static func parts(_ text: String) -> [String] {
    text.split(separator: ",", omittingEmptySubsequences: text.isEmpty)
      .map { part in
        let begun = part.drop { $0 == " " }
        return String(begun.prefix(begun.count - begun.reversed().prefix { $0 == " " }.count))
      }
  }

  private mutating func refuseVariable(_ name: String) {
    let known = [Self.fileVariable] + ConfigurationKey.allCases.map(\.variable)
    let nearest = nearestName(to: name.uppercased(), in: known).map { "; did you mean \($0.name)?" } ?? ""
    refuse("unknown variable \(shortened(name))\(nearest)")
  }

  /// Whether Kubernetes sets it for a Service called `apus` or `apus-…` in the same namespace:
  /// `_SERVICE_HOST`, `_SERVICE_PORT`, `_SERVICE_PORT_RPC`, `_PORT`, `_PORT_7443_TCP_ADDR` and the like.
  private static func isServiceLink(_ name: String) -> Bool {
    let words = name.split(separator: "_", omittingEmptySubsequences: false).dropFirst()
    return words.indices.contains { place in
      let rest = words[place...]
      if rest.starts(with: ["SERVICE", "HOST"]) { return rest.count == 2 }
      if rest.starts(with: ["SERVICE", "PORT"]) { return true }
      return rest.first == "PORT" && (rest.count == 1 || UInt16(rest[place + 1]) != nil)
    }
  }
}

/// The process's variables whose names begin with `APUS_`; of two with one name the first holds, as for
/// getenv(3).
///
/// Invariant of the unsafe code here: `environ` ends with nil, and nothing in this program changes it.
func environmentVariables() -> [String: String] {
  var variables: [String: String] = [:]
  var place = environ
  while let entry = place.pointee {
    place += 1
    guard strncmp(entry, "APUS_", 5) == 0 else { continue }
    let text = String(cString: entry)
    guard let sign = text.firstIndex(of: "=") else { continue }
    let name = String(text[..<sign])
    if variables[name] == nil { variables[name] = String(text[text.index(after: sign)...]) }
  }
  return variables
}
