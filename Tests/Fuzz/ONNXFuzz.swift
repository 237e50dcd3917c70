import ApusEngine
import ApusFormats

/// Reads the bytes as a model and as a tensor alone.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let file = KeptBytes(UnsafeRawBufferPointer(start: data, count: size), keeping: Nobody.shared)
  read { () throws(FormatError) in
    let model = try ONNXFile.read(file) { name in
      name == "w.bin" ? KeptBytes(UnsafeRawBufferPointer(besides), keeping: Nobody.shared) : nil
    }
    // Constants may share a file beside the model; those of the model itself have a byte there for 8 of
    // theirs.
    check(model.graph, limit: 8 * (size + besides.count))
    run(model.graph)
  }
  read { () throws(FormatError) in check(try ONNXFile.readTensor(file), limit: 8 * size) }
  return 0
}

/// A file beside the model.
private nonisolated(unsafe) let besides: UnsafeMutableRawBufferPointer = {
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 64)
  buffer.initializeMemory(as: UInt8.self, repeating: 1)
  return buffer
}()
