/// Where a value of the configuration comes from.
enum ConfigurationOrigin: Equatable, Sendable {
  /// Nothing said otherwise.
  case standard
  /// A line of the file, from 1.
  case file(path: String, line: Int)
  case environment
  case flag
}

/// A value and where it comes from.
struct ConfigurationSetting: Equatable, Sendable {
  let value: ConfigurationValue?
  let origin: ConfigurationOrigin
}

extension ConfigurationKey {
  /// How the one who gave a value would call this key, for messages.
  func subject(_ origin: ConfigurationOrigin) -> String {
    switch origin {
    case .standard: rawValue
    case .file(let path, let line): "\(path) line \(line): \(rawValue)"
    case .environment: variable
    case .flag: flag ?? rawValue
    }
  }
}

/// What one source says: the values that fit, and what is wrong with the others, a line each.
struct ConfigurationLayer {
  private(set) var settings: [ConfigurationKey: ConfigurationSetting] = [:]
  private(set) var problems: [String] = []

  init() {}

  /// Reads the texts that stand at one place.
  ///
  /// - Parameter folder: of the source; ends in `/` and stands before relative paths, or is empty.
  mutating func set(
    _ key: ConfigurationKey, _ texts: [String], from origin: ConfigurationOrigin,
    relativeTo folder: String = ""
  ) {
    do throws(ConfigurationMisfit) {
      let value = try key.form.parse(texts, relativeTo: folder)
      settings[key] = ConfigurationSetting(value: value, origin: origin)
    } catch {
      refuse("\(key.subject(origin)) \(error.reason)")
    }
  }

  mutating func refuse(_ problem: String) { problems.append(printable(problem)) }
}

extension ConfigurationLayer {
  /// What the command line says; a flag without texts was not given.
  init(flags: [(key: ConfigurationKey, texts: [String])]) {
    self.init()
    for (key, texts) in flags where !texts.isEmpty { set(key, texts, from: .flag) }
  }
}
