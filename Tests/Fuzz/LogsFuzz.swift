import ApusLog

/// Reads every line of the input as `apus logs` does, and its strings and its time.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
    read(UnsafeRawBufferPointer(rebasing: line))
  }
  return 0
}

private func read(_ line: UnsafeRawBufferPointer) {
  _ = JSONLine.read(line) { key, value in
    precondition(isInside(key, line), "a key outside of its line")
    switch value {
    case .string(let bytes, let hasEscapes):
      precondition(isInside(bytes, line), "a string outside of its line")
      let text = JSONLine.text(bytes, hasEscapes: hasEscapes)
      precondition((text?.utf8.count ?? 0) <= bytes.count, "a text longer than it was written")
      _ = LogTime.parse(bytes)
      if let text { checkQuoting(text) }
    case .number(let digits): precondition(isInside(digits, line) && !digits.isEmpty, "no number")
    case .nested(let bytes): precondition(isInside(bytes, line) && bytes.count >= 2, "no nested value")
    case .truth, .null: break
    }
  }
}

private func isInside(_ part: UnsafeRawBufferPointer, _ line: UnsafeRawBufferPointer) -> Bool {
  guard let start = part.baseAddress, let begin = line.baseAddress else { return part.isEmpty }
  return start >= begin && start + part.count <= begin + line.count
}

/// What is written of a text is read as the same text, in one line.
private func checkQuoting(_ text: String) {
  var line = LogLine()
  line.begin()
  line.text("text", text)
  line.end()
  precondition(!line.bytes.contains(UInt8(ascii: "\n")), "a text that ends the line")
  var isSame = false
  let isObject = line.bytes.withUnsafeBytes { bytes in
    JSONLine.read(bytes) { _, value in
      guard case .string(let read, let hasEscapes) = value else { return }
      let again = JSONLine.text(read, hasEscapes: hasEscapes)
      isSame = again.map { $0.unicodeScalars.elementsEqual(text.unicodeScalars) } ?? false
    }
  }
  precondition(isObject && isSame, "a text that does not read back")
}
