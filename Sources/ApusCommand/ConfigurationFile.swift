import ApusIO
import ApusYAML
import Glibc

extension ConfigurationLayer {
  /// A longer file is refused before it is parsed.
  static let longestFileBytes = 64 << 10

  /// What a file says; relative paths in it are relative to its folder.
  init(file path: String) {
    self.init()
    do throws(YAMLError) {
      guard let root = try YAMLValue(text: try readFile(path), source: path) else { return }
      readMap(root, path, section: nil)
    } catch {
      refuse(error.description)
    }
  }

  /// Reads the file's own map or one that is a level deeper.
  private mutating func readMap(_ map: YAMLValue, _ path: String, section: String?) {
    let keys = ConfigurationKey.allCases.filter { $0.section == section }
    let sections = ConfigurationKey.sections(in: section)
    let known = keys.map(\.lastName) + sections
    let name = section ?? "the configuration"
    if map.isNull { return }
    guard let entries = map.entries else {
      return refuse(map.failure("\(name) must be a map of \(known.joined(separator: ", "))").description)
    }
    for (key, value) in entries {
      do throws(YAMLError) {
        let text = try key.text("a key of \(name)")
        if sections.contains(text) {
          readMap(value, path, section: section.map { "\($0).\(text)" } ?? text)
        } else if let known = keys.first(where: { $0.lastName == text }) {
          try read(value, known, path)
        } else {
          let hint = Self.place(of: text, in: section) ?? "there are \(known.joined(separator: ", "))"
          throw key.failure("unknown key \(shortened(text)) in \(name); \(hint)")
        }
      } catch {
        refuse(error.description)
      }
    }
  }

  /// Which key somebody meant who wrote this one into a map, and where that belongs; nil if none is near.
  private static func place(of text: String, in section: String?) -> String? {
    let sections = ConfigurationKey.sections(in: section)
    // Those of this map come first, and win where others are as near.
    let here = ConfigurationKey.allCases.filter { $0.section == section }.map { ($0.lastName, $0.lastName) }
    let elsewhere = ConfigurationKey.allCases.filter { $0.section != section }.flatMap { key in
      let place = "\(key.lastName) " + (key.section.map { "under \($0)" } ?? "at the top level")
      return [(key.lastName, place), (key.rawValue, place)]
    }
    let names = here + sections.map { ($0, $0) } + elsewhere
    let begun = text.utf8.count < 3 ? nil : names.first { $0.0.hasPrefix(text) }?.0
    guard let name = nearName(to: text, in: names.map(\.0)) ?? begun else { return nil }
    return names.first { $0.0 == name }.map { "did you mean \($0.1)?" }
  }

  private mutating func read(_ value: YAMLValue, _ key: ConfigurationKey, _ path: String) throws(YAMLError) {
    guard !value.isNull else {
      throw value.failure("\(key.rawValue) has no value; give one or remove the key")
    }
    let items = key.form.isList ? value.items ?? [value] : [value]
    var texts: [String] = []
    for item in items {
      guard let text = try? item.text(key.rawValue) else {
        throw item.failure("\(key.rawValue) must be \(key.form.summary)")
      }
      texts.append(text)
    }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    set(key, texts, from: .file(path: path, line: value.line), relativeTo: folder)
  }
}

extension ConfigurationKey {
  /// The maps that a map holds, in the order of the keys.
  ///
  /// - Parameter section: nil: the file's own map.
  static func sections(in section: String?) -> [String] {
    let prefix = section.map { $0 + "." } ?? ""
    return allCases.filter { $0.rawValue.hasPrefix(prefix) }.reduce(into: []) { names, key in
      let rest = key.rawValue.dropFirst(prefix.count).split(separator: ".")
      guard rest.count > 1, let name = rest.first.map(String.init), !names.contains(name) else { return }
      names.append(name)
    }
  }
}

/// The text of a configuration file.
private func readFile(_ path: String) throws(YAMLError) -> String {
  let bytes: [UInt8]
  do { bytes = try fileBytes(path, atMost: ConfigurationLayer.longestFileBytes) } catch {
    guard error.errorNumber != EFBIG else {
      throw YAMLError(
        "\(path): a configuration has at most \(ConfigurationLayer.longestFileBytes) bytes; "
          + "this one has more")
    }
    throw YAMLError("\(path): cannot be read: \(String(cString: strerror(error.errorNumber)))")
  }
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw YAMLError("\(path): is not UTF-8 text")
  }
  return text
}

/// Why the last system call failed.
func systemReason() -> String { String(cString: strerror(errno)) }
