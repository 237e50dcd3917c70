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
    for value in model.graph.values {
      if let constant = value.constant { check(constant, limit: 8 * (size + besides.count)) }
    }
  }
  read { () throws(FormatError) in check(try ONNXFile.readTensor(file), limit: 8 * size) }
  return 0
}

/// A tensor's memory is there, aligned, and within what the file allows.
private func check(_ tensor: Tensor, limit: Int) {
  precondition(tensor.type.byteCount <= limit, "a tensor larger than its file allows")
  precondition(
    Int(bitPattern: tensor.start) % tensor.type.element.byteCount == 0, "a tensor that is not aligned")
  let bytes = UnsafeRawBufferPointer(start: tensor.start, count: tensor.type.byteCount)
  sum = bytes.reduce(sum, &+)
}

private func read(_ body: () throws(FormatError) -> Void) {
  do { try body() } catch {
    let message = error.description
    precondition(!message.isEmpty && !message.contains("\n"), "a message of one line")
  }
}

/// Keeps bytes that are there anyway.
private final class Nobody: Sendable { static let shared = Nobody() }

/// A file beside the model.
private nonisolated(unsafe) let besides: UnsafeMutableRawBufferPointer = {
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 64)
  buffer.initializeMemory(as: UInt8.self, repeating: 1)
  return buffer
}()

/// Every byte is read into this.
private nonisolated(unsafe) var sum: UInt8 = 0
