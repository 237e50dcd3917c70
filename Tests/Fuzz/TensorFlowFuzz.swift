import ApusEngine
import ApusFormats

/// Reads the bytes as a frozen graph.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let file = KeptBytes(UnsafeRawBufferPointer(start: data, count: size), keeping: Nobody.shared)
  read { () throws(FormatError) in
    let graph = try TensorFlowFile.read(file).graph
    // Constants that repeat one number may take 16 MiB together, and each other one 8 times its bytes.
    check(graph, limit: (16 << 20) + 8 * size)
    run(graph)
  }
  return 0
}
