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
    let sections = section == nil ? ConfigurationKey.sections : []
    let known = keys.map(\.lastName) + sections
    let name = section ?? "the configuration"
    if map.isNull { return }
    guard let entries = map.entries else {
      return refuse(map.failure("\(name) must be a map of \(known.joined(separator: ", "))").description)
    }
    for (key, value) in entries {
      do throws(YAMLError) {
        let name = try key.key(in: name, known: known)
        if sections.contains(name) {
          readMap(value, path, section: name)
        } else if let key = keys.first(where: { $0.lastName == name }) {
          try read(value, key, path)
        }
      } catch {
        refuse(error.description)
      }
    }
  }

  private mutating func read(_ value: YAMLValue, _ key: ConfigurationKey, _ path: String) throws(YAMLError) {
    guard !value.isNull else {
      throw value.failure("\(key.rawValue) has no value; give one or remove the key")
    }
    let items = key.form == .addresses ? value.items ?? [value] : [value]
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
  /// The maps that the file's own map holds, in the order of the keys.
  static var sections: [String] {
    allCases.compactMap(\.section).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}

/// The text of a configuration file.
private func readFile(_ path: String) throws(YAMLError) -> String {
  let number = open(path, O_RDONLY | O_CLOEXEC)
  guard number >= 0 else { throw YAMLError("\(path): cannot be read: \(systemReason())") }
  let file = Descriptor(owning: number)
  var bytes = [UInt8](repeating: 0, count: ConfigurationLayer.longestFileBytes + 1)
  var count = 0
  while count < bytes.count {
    let added = bytes.withUnsafeMutableBytes { read(file.number, $0.baseAddress! + count, $0.count - count) }
    if added < 0, errno == EINTR { continue }
    guard added >= 0 else { throw YAMLError("\(path): cannot be read: \(systemReason())") }
    if added == 0 { break }
    count += added
  }
  guard count < bytes.count else {
    throw YAMLError(
      "\(path): a configuration has at most \(ConfigurationLayer.longestFileBytes) bytes; this one has more")
  }
  guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
    throw YAMLError("\(path): is not UTF-8 text")
  }
  return text
}

/// Why the last system call failed.
func systemReason() -> String { String(cString: strerror(errno)) }
