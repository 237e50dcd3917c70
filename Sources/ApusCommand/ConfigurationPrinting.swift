import ApusIO
import ApusJSON
import Glibc

extension ServeConfiguration {
  /// The configuration as a file that says the same from every folder: relative paths are made absolute, and
  /// after each value stands where it comes from.
  var yaml: String {
    var text = ""
    var open: [Substring] = []
    for key in ConfigurationKey.allCases {
      let maps = key.section?.split(separator: ".") ?? []
      for depth in maps.indices where depth >= open.count || maps[...depth] != open[...depth] {
        text += String(repeating: "  ", count: depth) + "\(maps[depth]):\n"
      }
      open = maps
      let indentation = String(repeating: "  ", count: maps.count)
      guard let value = self[key].value else {
        text += "\(indentation)# \(key.lastName): not set\n"
        continue
      }
      text += "\(indentation)\(key.lastName): \(value.absolute.yaml)  # \(printable(source(of: key)))\n"
    }
    return text
  }

  /// The values as the file would nest them, null for one that is not set, and beside them where each comes
  /// from.
  var json: JSON {
    let sources = ConfigurationKey.allCases.map {
      JSON.Member(key: $0.rawValue, value: .string(source(of: $0)))
    }
    return ["configuration": json(section: nil), "sources": .object(sources)]
  }

  private func json(section: String?) -> JSON {
    let keys = ConfigurationKey.allCases.filter { $0.section == section }
    let maps = ConfigurationKey.sections(in: section).map { name in
      JSON.Member(key: name, value: json(section: section.map { "\($0).\(name)" } ?? name))
    }
    return .object(keys.map(member) + maps)
  }

  private func member(_ key: ConfigurationKey) -> JSON.Member {
    JSON.Member(key: key.lastName, value: self[key].value?.absolute.json ?? .null)
  }

  /// `default`, `apus.yaml line 3`, `APUS_THREADS` or `--threads`.
  private func source(of key: ConfigurationKey) -> String {
    switch self[key].origin {
    case .standard: "default"
    case .file(let path, let line): "\(path) line \(line)"
    case .environment: key.variable
    case .flag: key.flag ?? "flag"
    }
  }
}

extension ConfigurationValue {
  /// With paths that do not depend on the working directory.
  fileprivate var absolute: Self {
    switch self {
    case .path("-"): self
    case .path(let path): .path(ApusCommand.absolute(path, in: workingDirectory()))
    case .addresses(let addresses): .addresses(addresses.map(\.absolute))
    default: self
    }
  }

  /// On one line, so that a comment can follow.
  var yaml: String {
    switch self {
    case .addresses(let addresses):
      "[" + addresses.map { quoted($0.description) }.joined(separator: ", ") + "]"
    case .httpAddresses(let addresses):
      "[" + addresses.map { quoted($0.url) }.joined(separator: ", ") + "]"
    case .path(let text), .text(let text): quoted(text)
    case .number(let number): String(number)
    case .truth(let truth): String(truth)
    case .mode(let bits): quoted(octal(bits))
    }
  }

  var json: JSON {
    switch self {
    case .addresses(let addresses): .array(addresses.map { .string($0.description) })
    case .httpAddresses(let addresses): .array(addresses.map { .string($0.url) })
    case .path(let text), .text(let text): .string(text)
    case .number(let number): .integer(number)
    case .truth(let truth): .boolean(truth)
    case .mode(let bits): .string(octal(bits))
    }
  }
}

extension Address {
  /// With a socket's path that does not depend on the working directory.
  fileprivate var absolute: Self {
    guard case .unix(let path) = self else { return self }
    return .unix(path: ApusCommand.absolute(path, in: workingDirectory()))
  }
}

/// Four digits.
private func octal(_ bits: UInt32) -> String {
  let digits = String(bits, radix: 8)
  return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}

/// Ends in `/`; empty if the kernel cannot tell it.
private func workingDirectory() -> String {
  guard let path = getcwd(nil, 0) else { return "" }
  defer { free(path) }
  let text = String(cString: path)
  return text.hasSuffix("/") ? text : text + "/"
}

/// A double-quoted scalar (YAML 1.2, section 7.3.1), escapes for what a parser or terminal would not take
/// as it is.
private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch (scalar, scalar.properties.generalCategory) {
    case ("\"", _), ("\\", _): result += "\\\(scalar)"
    case (_, .control), (_, .format), (_, .lineSeparator), (_, .paragraphSeparator), (_, .unassigned):
      let digits = String(scalar.value, radix: 16)
      result += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
