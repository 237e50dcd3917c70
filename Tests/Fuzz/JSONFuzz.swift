import ApusGateway
import ApusJSON
import ApusWire

/// The first two bytes say how many of the others are JSON, behind which the bytes of tensors stand. Whatever
/// they are, nothing outside of them is read; what is a value is read the same by every reader; and numbers
/// come in the shape that they claim.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  guard size >= 2 else { return 0 }
  let count = min(size - 2, Int(data[0]) | Int(data[1]) << 8)
  // In memory of its own, whose ends the sanitizer watches.
  let json = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
  defer { json.deallocate() }
  json.copyMemory(from: UnsafeRawBufferPointer(start: data + 2, count: count))
  let tensors = UnsafeRawBufferPointer(start: data + 2 + count, count: size - 2 - count)

  let isValue = reads(json) { (scanner) throws(JSONError) in try scanner.skipValue() }
  let isInput = reads(json) { (scanner) throws(JSONError) in check(try Input(&scanner)) }
  let isRequest = reads(json) { (scanner) throws(JSONError) in
    var rest = tensors
    for input in try InferenceRequest(&scanner).inputs {
      do throws(Status) { check(try input.input(&rest, takesTexts: true)) } catch {}
    }
    precondition(rest.count <= tensors.count, "tensors are taken from the front")
  }
  precondition(isValue || !(isInput || isRequest), "what is read is JSON")
  if let value = try? JSON(parsing: UnsafeRawBufferPointer(json)) {
    precondition(isValue, "a value is JSON")
    precondition((try? JSON(parsing: value.compact)) != nil, "what is written can be read")
  }
  return 0
}

/// Whether the whole text can be read.
private func reads(
  _ json: UnsafeMutableRawBufferPointer, _ read: (inout JSONScanner) throws(JSONError) -> Void
) -> Bool {
  var scanner = JSONScanner(UnsafeRawBufferPointer(json))
  do throws(JSONError) {
    try read(&scanner)
    try scanner.end()
    return true
  } catch { return false }
}

private func check(_ input: Input) {
  guard case .numbers(let values, let shape) = input else { return }
  precondition(values.count == shape.reduce(1, *), "there are as many numbers as the shape says")
}
