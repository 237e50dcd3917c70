/// Reads a weight file whatever its name: the content says which format it is.
package enum WeightFile {
  /// Reads the names, types and shapes of a file's tensors; their numbers are read when asked for.
  ///
  /// Takes memory for the tensors' descriptions only, within a fixed multiple of the file's size, and
  /// executes nothing that the file says.
  ///
  /// - Parameter bytes: the whole file. It must stay readable and unchanged as long as the result is in use.
  package static func read(_ bytes: UnsafeRawBufferPointer) throws(FormatError) -> StateDict {
    try read(FileBytes(bytes))
  }

  /// The same of bytes that stay: weights are computed with where they lie.
  package static func read(_ file: KeptBytes) throws(FormatError) -> StateDict {
    var stateDict = try read(FileBytes(file.bytes))
    stateDict.owner = file.owner
    return stateDict
  }

  private static func read(_ bytes: FileBytes) throws(FormatError) -> StateDict {
    switch try detect(bytes) {
    case .pytorch: return try PyTorchFile.readZip(bytes)
    case .pytorchLegacy: return try PyTorchFile.readLegacy(bytes)
    case .safetensors: return try Safetensors.read(bytes)
    }
  }

  private static func detect(_ bytes: FileBytes) throws(FormatError) -> WeightFormat {
    guard bytes.count > 0 else { throw .unknownFormat("the file is empty") }
    if bytes.starts(with: Array("PK\u{3}\u{4}".utf8)) || bytes.starts(with: Array("PK\u{5}\u{6}".utf8)) {
      return .pytorch
    }
    // Byte 8 of a safetensors file begins its JSON; in a legacy file of torch.save it is part of the magic
    // number.
    let hasJSON = bytes.count > 8 && bytes[8] == UInt8(ascii: "{")
    if !hasJSON, bytes[0] == PickleOpcode.proto.rawValue, bytes.count < 2 || bytes[1] <= 5 {
      return .pytorchLegacy
    }
    let headerBytes = bytes.integer(at: 0, as: UInt64.self) ?? 0
    if hasJSON || (headerBytes > 1 && headerBytes <= UInt64(bytes.count) - 8) { return .safetensors }
    let start = (0..<min(8, bytes.count)).map { offset in
      let digits = String(bytes[offset], radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }
    throw .unknownFormat("it begins with the bytes \(start.joined(separator: " "))")
  }
}
