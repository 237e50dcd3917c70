import ApusEngine
import ApusFormats

/// Reads the bytes as a weight file, and goes all the way to a network. Nothing but an error may come of bad
/// bytes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  do throws(FormatError) {
    let stateDict = try WeightFile.read(UnsafeRawBufferPointer(start: data, count: size))
    for tensor in stateDict.tensors { _ = try? tensor.floats() }
    let built = try makeNetwork(stateDict, architecture: nil, output: nil)
    precondition(built.network.parameters <= size, "a network larger than its file allows")
  } catch {
    let message = error.description
    precondition(!message.isEmpty && !message.contains("\n"), "a message of one line")
  }
  return 0
}
