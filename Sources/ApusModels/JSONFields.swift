import ApusJSON

/// Takes members out of a JSON object that was written by somebody else: each must be there, and is held to
/// its bounds.
struct JSONFields {
  private let value: JSON
  /// What is read, for messages.
  private let source: String

  init(_ value: JSON, _ source: String) throws(ModelError) {
    guard value.object != nil else { throw ModelError("\(source) is no JSON object") }
    self.value = value
    self.source = source
  }

  init(parsing bytes: UnsafeRawBufferPointer, _ source: String, _ bounds: JSON.Bounds) throws(ModelError) {
    do { try self.init(JSON(parsing: bytes, bounds), source) } catch let error as ModelError {
      throw error
    } catch { throw ModelError("\(source): \(error)") }
  }

  func failure(_ problem: String) -> ModelError { ModelError("\(source): \(problem)") }

  /// A text without control characters, its length in bytes.
  func text(_ key: String, bytes: ClosedRange<Int>) throws(ModelError) -> String {
    guard let text = value[key]?.string, isText(text, bytes: bytes) else {
      throw failure("\(key) must be a text of \(bytes.lowerBound) to \(bytes.upperBound) bytes")
    }
    return text
  }

  func unsigned(_ key: String, most: UInt64 = .max) throws(ModelError) -> UInt64 {
    guard let number = value[key]?.unsigned, number <= most else {
      throw failure("\(key) must be a whole number from 0 to \(most)")
    }
    return number
  }

  func list(_ key: String, most: Int) throws(ModelError) -> [JSON] {
    guard let list = value[key]?.array, list.count <= most else {
      throw failure("\(key) must be a list of at most \(most)")
    }
    return list
  }

  func object(_ key: String) throws(ModelError) -> JSONFields {
    try JSONFields(value[key] ?? .null, "\(source): \(key)")
  }

  /// Objects of a list.
  func objects(_ key: String, most: Int) throws(ModelError) -> [JSONFields] {
    var fields: [JSONFields] = []
    for (index, element) in try list(key, most: most).enumerated() {
      fields.append(try JSONFields(element, "\(source): \(key)[\(index)]"))
    }
    return fields
  }

  /// 32 bytes as 64 lower-case digits behind `prefix`.
  func hash(_ key: String, prefix: String = "") throws(ModelError) -> [UInt8] {
    guard let text = value[key]?.string, text.utf8.count == 64 + prefix.utf8.count, text.hasPrefix(prefix),
      let bytes = Self.bytes(hexadecimal: text.dropFirst(prefix.count)), bytes.count == 32
    else { throw failure("\(key) must be \(prefix.isEmpty ? "" : "\(prefix) and ")64 lower-case hex digits") }
    return bytes
  }

  private static func bytes(hexadecimal text: Substring) -> [UInt8]? {
    var bytes: [UInt8] = []
    var half: UInt8?
    for digit in text.utf8 {
      let value: UInt8
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
      default: return nil
      }
      if let upper = half {
        bytes.append(upper << 4 | value)
        half = nil
      } else {
        half = value
      }
    }
    return half == nil ? bytes : nil
  }
}

/// Whether a text has such a length in bytes and no control character.
func isText(_ text: String, bytes: ClosedRange<Int>) -> Bool {
  bytes.contains(text.utf8.count) && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
}
