import Testing

@testable import ApusFormats

@Suite("Numbers of ONNX tensors in files beside the model")
struct ONNXExternalDataTests {
  private func refusal(_ entries: [(String, String)], asked: ((String) -> Void)? = nil) -> String? {
    let file = FileMemory(ONNX.model(tensor: ONNX.external("w", 1, [4], entries)))
    let beside = FileMemory([UInt8](repeating: 1, count: 20))
    do throws(FormatError) {
      // The closure is asked only for names that may be.
      nonisolated(unsafe) let asked = asked
      _ = try ONNXFile.read(file.kept) { name in
        asked?(name)
        return name == "w.bin" ? beside.kept : nil
      }
      return nil
    } catch { return error.description }
  }

  @Test("Without offset and length the tensor's own size is taken from the start")
  func defaults() {
    #expect(refusal([("location", "w.bin")]) == nil)
    #expect(refusal([("location", "w.bin"), ("offset", "4"), ("checksum", "any")]) == nil)
  }

  @Test(
    "A place outside the folder is refused and never asked for",
    arguments: [
      "../../../../etc/passwd", "/etc/passwd", "..", ".", "", "sub/w.bin", "./w.bin", "w.bin/..", "w.bin/",
    ])
  func outside(_ location: String) {
    var names: [String] = []
    let message = refusal([("location", location)]) { names.append($0) }
    #expect(
      message == "tensor w: its numbers are in '\(location)'; only a file beside the model may be named")
    #expect(names == [])
  }

  static let refused: [(String, [(String, String)])] = [
    ("its numbers are in the file 'v.bin', which is not beside the model", [("location", "v.bin")]),
    ("its external data has no location", [("offset", "0")]),
    ("its external data says 'location' twice", [("location", "w.bin"), ("location", "w.bin")]),
    ("it takes 16 bytes at 5 of 'w.bin', which has 20", [("location", "w.bin"), ("offset", "5")]),
    (
      "it takes 16 bytes at 9223372036854775807 of 'w.bin', which has 20",
      [("location", "w.bin"), ("offset", "9223372036854775807")]
    ),
    (
      "its external data has the offset '9223372036854775808', which is no number of bytes",
      [("location", "w.bin"), ("offset", "9223372036854775808")]
    ),
    (
      "its external data has the offset '-1', which is no number of bytes",
      [("location", "w.bin"), ("offset", "-1")]
    ),
    (
      "its external data has the length 'all', which is no number of bytes",
      [("location", "w.bin"), ("length", "all")]
    ),
    ("its length is 12 bytes; float32 [4] takes 16", [("location", "w.bin"), ("length", "12")]),
  ]

  @Test("Each is refused with what is wrong", arguments: refused)
  func refusals(_ message: String, _ entries: [(String, String)]) {
    #expect(refusal(entries) == "tensor w: \(message)")
  }

  @Test("Numbers here and there are refused, and a name that hides something")
  func both() {
    let entries = Proto.bytes(13, Proto.text(1, "location") + Proto.text(2, "w.bin")) + Proto.int(14, 1)
    let both = ONNX.tensor("w", 2, [1], raw: [1], data: entries)
    #expect(
      onnxRefusal(ONNX.model(tensor: both))
        == "tensor w: its numbers are in another file and in this one, too")
    let hidden = ONNX.external("w", 2, [1], [("location", "w.bin\u{0}/../../x")])
    #expect(onnxRefusal(ONNX.model(tensor: hidden))?.contains("control characters") == true)
  }
}
