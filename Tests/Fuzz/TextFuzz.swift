import ApusBase
import ApusFeatures

/// The first four bytes choose the features, the others are a text. Whatever they are, nothing outside of the
/// text is read and nothing outside of the vector written; the vector is that of the text's lower case, and
/// what is no UTF-8 is refused as the standard library refuses it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  guard size >= 4 else { return 0 }
  let shortest = 1 + Int(data[2] & 3)
  let features = HashingFeatures(
    dimensions: 1 + Int(data[0]), analyzer: choice(data[1]),
    ngrams: shortest...(shortest + Int(data[2] >> 4) % (17 - shortest)), norm: choice(data[3]))
  let text = UnsafeRawBufferPointer(start: data + 4, count: size - 4)
  let isText = String(validating: text, as: UTF8.self) != nil
  precondition(isUTF8(text) == isText, "the standard library decides what is UTF-8")

  // Each in memory of its own, whose ends the sanitizer watches.
  let found = vector(of: text, features)
  precondition((found != nil) == isText, "what is UTF-8 has a vector, and nothing else")
  guard let found else { return 0 }
  precondition(found.allSatisfy(\.isFinite), "numbers")
  let sum = found.reduce(0.0) { $0 + Double(features.norm == .l2 ? $1 * $1 : abs($1)) }
  switch features.norm {
  case .none: precondition(found.allSatisfy { $0 == $0.rounded() }, "counts")
  case .l1, .l2: precondition(sum == 0 || abs(sum - 1) < 1e-4, "of length one")
  }
  precondition(vector(of: text, features) == found, "the same text has the same vector")
  return 0
}

private func choice<Value: CaseIterable>(_ byte: UInt8) -> Value {
  let values = Array(Value.allCases)
  return values[Int(byte) % values.count]
}

private nonisolated(unsafe) let scratch = FeatureScratch()

/// The vector of a copy of the text that ends where its memory does; nil when it is none.
private func vector(of text: UnsafeRawBufferPointer, _ features: HashingFeatures) -> [Float]? {
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.count, alignment: 1)
  defer { copy.deallocate() }
  copy.copyMemory(from: text)
  let output = UnsafeMutablePointer<Float>.allocate(capacity: features.dimensions)
  defer { output.deallocate() }
  guard features.vector(of: UnsafeRawBufferPointer(copy), into: output, scratch: scratch) else { return nil }
  return Array(UnsafeBufferPointer(start: output, count: features.dimensions))
}
