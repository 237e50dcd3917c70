import ApusModels

/// The first byte says which file of a repository the others are. What can be read can be written and read
/// again, and what cannot is told in one line.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  guard size >= 1 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: data + 1, count: size - 1))
  do throws(ModelError) { try read(bytes, data[0] % 6) } catch {
    let message = error.description
    precondition(!message.isEmpty && !message.contains("\n"), "a message of one line")
  }
  return 0
}

private func read(_ bytes: [UInt8], _ kind: UInt8) throws(ModelError) {
  switch kind {
  case 0:
    let manifest = try with(bytes) { (bytes) throws(ModelError) in try VersionManifest(parsing: bytes) }
    let again = try? with(manifest.bytes) { (bytes) throws(ModelError) in
      try VersionManifest(parsing: bytes)
    }
    precondition(again != nil, "a manifest that is written can be read")
  case 1:
    let signatures = try with(bytes) { (bytes) throws(ModelError) in try ManifestSignatures(parsing: bytes) }
    let again = try? with(signatures.bytes) { (bytes) throws(ModelError) in
      try ManifestSignatures(parsing: bytes)
    }
    precondition(again == signatures, "signatures that are written can be read")
  case 2: _ = try ModelRecord(parsing: bytes)
  case 3: _ = try AuditEntry(line: bytes)
  default:
    let samples = try with(bytes) { (bytes) throws(ModelError) in
      try Samples(parsing: bytes, isNPZ: kind == 5)
    }
    precondition((1...Samples.maximumRows).contains(samples.rows), "rows within their bounds")
    precondition(
      samples.probabilities.isEmpty || samples.probabilities.count == samples.rows * samples.expectedWidth)
    precondition(samples.classes.isEmpty || samples.classes.count == samples.rows)
    if case .inputs(let values, let width) = samples.questions {
      precondition(width > 0 && values.count == samples.rows * width, "whole rows")
    }
  }
}

/// In memory of its own, whose ends the sanitizer watches.
private func with<Value>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(ModelError) -> Value
) throws(ModelError) -> Value {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { memory.deallocate() }
  memory.copyBytes(from: bytes)
  return try body(UnsafeRawBufferPointer(memory))
}
