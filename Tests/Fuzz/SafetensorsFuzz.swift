import ApusEngine
import ApusFormats

/// Gives the bytes the length of a safetensors header, so that every input reaches the JSON reader, then as
/// they are.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  read(UnsafeRawBufferPointer(start: data, count: size))
  // A header that ends at the first line feed, or with the input.
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? size
  let header = bytes[..<end]
  var file: [UInt8] = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
  file += header
  file += bytes.dropFirst(end + 1)
  file.withUnsafeBytes { read($0) }
  return 0
}

private func read(_ file: UnsafeRawBufferPointer) {
  do throws(FormatError) {
    let stateDict = try WeightFile.read(file)
    for tensor in stateDict.tensors { _ = try? tensor.floats() }
    let built = try makeNetwork(stateDict, architecture: nil, output: nil)
    precondition(built.network.parameters <= file.count, "a network larger than its file allows")
  } catch {
    let message = error.description
    precondition(!message.isEmpty && !message.contains("\n"), "a message of one line")
  }
}
