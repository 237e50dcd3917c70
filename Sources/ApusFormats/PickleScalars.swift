/// The opcodes that push numbers and texts.
extension PickleMachine {
  mutating func number(_ opcode: PickleOpcode) throws(FormatError) -> PickleValue {
    switch opcode {
    case .none: return .none
    case .newTrue: return .bool(true)
    case .newFalse: return .bool(false)
    case .binInt: return .integer(Int64(try reader.integer(as: Int32.self)))
    case .binInt1: return .integer(Int64(try reader.byte()))
    case .binInt2: return .integer(Int64(try reader.integer(as: UInt16.self)))
    case .long1: return try longInteger(byteCount: Int(try reader.byte()))
    case .long4: return try longInteger(byteCount: Int(try reader.integer(as: Int32.self)))
    case .int:
      let line = try reader.line()
      if line.elementsEqual(Array("00".utf8)) { return .bool(false) }
      if line.elementsEqual(Array("01".utf8)) { return .bool(true) }
      return .integer(try decimal(line))
    case .long:
      let line = try reader.line()
      let hasSuffix = line.count > 0 && line[line.count - 1] == UInt8(ascii: "L")
      return .integer(try decimal(line.slice(at: 0, count: line.count - (hasSuffix ? 1 : 0)) ?? line))
    case .float:
      _ = try reader.line()
      return .other
    default:
      _ = try reader.take(8)
      return .other
    }
  }

  /// Two's complement, little-endian, of any length; no bytes are 0.
  private mutating func longInteger(byteCount: Int) throws(FormatError) -> PickleValue {
    let start = reader.position
    let digits = try reader.take(byteCount)
    guard byteCount <= 8 else {
      return .longInteger(PickleText(offset: UInt32(start), count: UInt32(byteCount)))
    }
    guard byteCount > 0 else { return .integer(0) }
    var bits: UInt64 = digits[byteCount - 1] < 0x80 ? 0 : .max
    for position in stride(from: byteCount - 1, through: 0, by: -1) {
      bits = bits << 8 | UInt64(digits[position])
    }
    return .integer(Int64(bitPattern: bits))
  }

  private func decimal(_ line: FileBytes) throws(FormatError) -> Int64 {
    guard line.count <= 20, let text = line.text, let value = Int64(text) else {
      throw failure("\(line.printableText) is not a number of 64 bits")
    }
    return value
  }

  /// The index of a PUT or GET, in decimal.
  mutating func memoIndexText() throws(FormatError) -> UInt32 {
    guard let index = UInt32(exactly: try decimal(try reader.line())) else {
      throw failure("a memo index is out of range")
    }
    return index
  }

  mutating func text(_ opcode: PickleOpcode) throws(FormatError) -> PickleValue {
    switch opcode {
    case .string: return .text(try quotedLine())
    case .unicode:
      let start = reader.position
      return .text(try unescaped(try reader.line(), at: start))
    case .shortBinString, .shortBinUnicode: return .text(try range(try reader.byte()))
    case .binString, .binUnicode: return .text(try range(try reader.integer(as: UInt32.self)))
    case .binUnicode8: return .text(try range(try reader.integer(as: UInt64.self)))
    case .shortBinBytes: _ = try range(try reader.byte())
    case .binBytes: _ = try range(try reader.integer(as: UInt32.self))
    default: _ = try range(try reader.integer(as: UInt64.self))
    }
    return .other
  }

  private mutating func range<Count: BinaryInteger>(_ count: Count) throws(FormatError) -> PickleText {
    let start = reader.position
    return PickleText(offset: UInt32(start), count: UInt32(try reader.take(count).count))
  }

  /// A line in single or double quotes, Python's `repr` of a text.
  private mutating func quotedLine() throws(FormatError) -> PickleText {
    let start = reader.position
    let line = try reader.line()
    guard line.count >= 2, line[0] == line[line.count - 1],
      line[0] == UInt8(ascii: "'") || line[0] == UInt8(ascii: "\""),
      let inside = line.slice(at: 1, count: line.count - 2)
    else { throw failure("a text is not in quotes") }
    return try unescaped(inside, at: start + 1)
  }

  /// The texts of protocol 0 may have escapes. PyTorch writes protocol 2, and names of tensors have none.
  private func unescaped(_ line: FileBytes, at offset: Int) throws(FormatError) -> PickleText {
    guard line.firstIndex(of: UInt8(ascii: "\\"), from: 0) == nil else {
      throw .unsupported(
        "escapes in a text of pickle protocol 0 (\(reader.part)); save with protocol 2 or later")
    }
    return PickleText(offset: UInt32(offset), count: UInt32(line.count))
  }
}
