import ApusWire

extension InferenceRequest.Tensor {
  /// The texts of a tensor of BYTES: a JSON array of strings, or in the body each behind its length in
  /// bytes, a little-endian UInt32, as Triton's extension for binary tensors has it. Bytes are taken from the
  /// front of `binary`.
  ///
  /// - Throws: INVALID_ARGUMENT.
  func texts(shape: [Int], _ binary: inout UnsafeRawBufferPointer) throws(Status) -> [String] {
    guard let count = shape.first, count > 0, shape.dropFirst() == [] || shape.dropFirst() == [1] else {
      let given = shape.map { String($0) }.joined(separator: ", ")
      throw Self.wrong("texts have the shape (n) or (n, 1) with n from 1 on; that of '\(name)' is (\(given))")
    }
    if let binaryBytes { return try binaryTexts(count, binaryBytes, &binary) }
    guard case .texts(let texts)? = data else {
      throw Self.wrong("input '\(name)' is of BYTES and has no texts in 'data'")
    }
    guard texts.count == count else {
      throw Self.wrong("input '\(name)' takes \(count) texts; 'data' holds \(texts.count)")
    }
    return texts
  }

  private func binaryTexts(
    _ count: Int, _ byteCount: Int, _ binary: inout UnsafeRawBufferPointer
  ) throws(Status) -> [String] {
    guard byteCount <= binary.count else {
      throw Self.wrong(
        "binary_data_size of '\(name)' is \(byteCount), and \(binary.count) bytes are left in the body")
    }
    // So the shape alone takes no memory.
    guard count <= byteCount / 4 else {
      throw Self.wrong(
        "input '\(name)' takes \(count) texts, each behind its length in 4 bytes; binary_data_size is "
          + "\(byteCount)")
    }
    var rest = UnsafeRawBufferPointer(rebasing: binary[..<byteCount])
    binary = UnsafeRawBufferPointer(rebasing: binary[byteCount...])
    var texts: [String] = []
    texts.reserveCapacity(count)
    for place in 1...count { texts.append(try takeText(place, &rest)) }
    guard rest.isEmpty else { throw Self.wrong("\(rest.count) bytes follow the last text of '\(name)'") }
    return texts
  }

  /// Invariant of the unsafe code: nothing is read of `rest` before its length is known to suffice.
  private func takeText(_ place: Int, _ rest: inout UnsafeRawBufferPointer) throws(Status) -> String {
    guard rest.count >= 4 else { throw Self.wrong("text \(place) of '\(name)' has no length of 4 bytes") }
    let length = Int(UInt32(littleEndian: rest.loadUnaligned(as: UInt32.self)))
    guard length <= rest.count - 4 else {
      throw Self.wrong(
        "text \(place) of '\(name)' is \(length) bytes long, and \(rest.count - 4) bytes are left of the "
          + "input")
    }
    guard let text = String(validating: rest[4..<4 + length], as: UTF8.self) else {
      throw Status(.invalidArgument, "TEXT_NOT_UTF8", "text \(place) of '\(name)' is not UTF-8")
    }
    rest = UnsafeRawBufferPointer(rebasing: rest[(4 + length)...])
    return text
  }
}
