import ApusJSON

/// Runs `read` over the text and makes sure that nothing follows.
func scan<Result>(
  _ text: some Sequence<UInt8>, _ read: (inout JSONScanner) throws(JSONError) -> Result
) throws -> Result {
  try Array(text).withUnsafeBytes { bytes in
    var scanner = JSONScanner(bytes)
    let result = try read(&scanner)
    try scanner.end()
    return result
  }
}

func skip(_ text: some Sequence<UInt8>) throws {
  try scan(text) { (scanner) throws(JSONError) in try scanner.skipValue() }
}
