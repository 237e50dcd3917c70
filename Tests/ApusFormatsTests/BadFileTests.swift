import Foundation
import Testing

@testable import ApusFormats

/// `Tests/Fixtures/bad`: hostile and broken files, each with what must come of it.
@Suite("Bad files", .serialized)
struct BadFileTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let file: String
    let expect: String
    var testDescription: String { file }
  }

  static func cases() -> [Case] {
    guard let object = try? Fixtures.json("bad/cases.json"), let cases = object["cases"] as? [[String: Any]]
    else {
      return []
    }
    return cases.compactMap { entry in
      guard let file = entry["file"] as? String, let expect = entry["expect"] as? String else { return nil }
      return Case(file: file, expect: expect)
    }
  }

  /// What the messages for some of them must name.
  static let named = [
    "evil_system.zip.pth": "posix.system", "evil_eval.zip.pth": "__builtin__.eval",
    "evil_proto0_inst.zip.pth": "os.system", "evil_stack_global.zip.pth": "posix.system",
    "evil_obj.zip.pth": "os.system", "evil_build_setstate.zip.pth": "builtins.eval",
    "evil_getattr_chain.zip.pth": "builtins.getattr", "evil_newobj.zip.pth": "subprocess.Popen",
    "evil_ext_reg.zip.pth": "extension 1", "evil_system.legacy.pth": "posix.system",
    "evil_system.raw.pkl.pth": "posix.system", "evil_traversal.zip.pth": "../../../../tmp/apus_pwned",
    "evil_after_weights.zip.pth": "posix.system", "pth_pickle_truncated.pth": "data.pkl",
    "pth_no_datapkl.pth": "data.pkl", "pth_missing_storage.pth": "storage 0",
    "pth_short_storage.pth": "16 bytes", "pth_huge_shape.pth": "[2147483647, 100]",
    "pth_negative_offset.pth": "-1", "pth_stride_oob.pth": "32767", "pth_memo_missing.pth": "memo 5",
    "pth_pickle_stack_underflow.pth": "empty stack", "pth_huge_binunicode.pth": "data.pkl",
    "pth_deflate_bomb.pth": "compressed", "pth_bomb_memo.pth": "a list", "pth_deep_nesting.pth": "a list",
    "pth_state_dict_of_ints.pth": "a, b", "st_unknown_dtype.safetensors": "F13",
    "st_dup_key.safetensors": "twice", "st_shape_mismatch.safetensors": "shape",
    "st_hole.safetensors": "tensor v",
    "gen_pth_empty.pth": "empty", "gen_pth_zeros.pth": "00 00", "gen_pth_trunc_half.pth": "cut short",
  ]

  @Test("All cases are here")
  func count() { #expect(Self.cases().count == 74) }

  @Test("Each file gets what its case expects", arguments: cases())
  func refusedOrRead(_ bad: Case) throws {
    let bytes = try Fixtures.bytes("bad/\(bad.file)")
    let error = refusal(of: bytes)
    let mayLoad = bad.expect.contains("or load with altered weights") || bad.expect.contains("or accept")
    #expect(error != nil || mayLoad)
    if let message = error?.description {
      #expect(!message.isEmpty && message.count < 400 && !message.contains("\n"), "\(message)")
      if let name = Self.named[bad.file] { #expect(message.contains(name), "\(message)") }
    }
    #expect(!FileManager.default.fileExists(atPath: "/tmp/apus_pwned"), "something of the file was executed")
  }

  @Test("All of them together take little memory")
  func peakMemory() throws {
    let before = try peakKilobytes()
    for bad in Self.cases() { _ = refusal(of: try Fixtures.bytes("bad/\(bad.file)")) }
    let growth = try peakKilobytes() - before
    #expect(growth < 128 << 10, "peak memory grew by \(growth) kB")
  }

  /// VmHWM of this process.
  private func peakKilobytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
    return try #require(Int(line.split(whereSeparator: { $0 == " " || $0 == "\t" })[1]))
  }

  @Test("A sound file cut at any byte is refused", arguments: ["pth", "legacy.pth", "safetensors"])
  func truncated(suffix: String) throws {
    let bytes = try Fixtures.bytes("torch/text_classifier/text_classifier.\(suffix)")
    for count in 0..<bytes.count {
      #expect(refusal(of: Array(bytes[..<count])) != nil, "cut at \(count)")
    }
  }

  @Test(
    "A sound file with any byte changed is refused or read, never worse", arguments: [0x00, 0xff, 0x28, 0x68])
  func changed(value: UInt8) throws {
    for suffix in ["pth", "legacy.pth", "safetensors"] {
      let bytes = try Fixtures.bytes("torch/text_classifier/text_classifier.\(suffix)")
      for position in bytes.indices {
        var copy = bytes
        copy[position] = value
        _ = refusal(of: copy)
      }
    }
  }
}
