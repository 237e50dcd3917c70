import ApusEngine
import Testing

@testable import ApusFormats

@Suite struct NumPyFileTests {
  /// A file with this header and these bytes after it, the header unpadded.
  private func file(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let text = Array((header + "\n").utf8)
    let length = [UInt8(text.count & 0xFF), UInt8(text.count >> 8)] + (version == 1 ? [] : [0, 0])
    return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data
  }

  private func header(_ type: String, _ shape: String, columnMajor: Bool = false) -> String {
    "{'descr': '\(type)', 'fortran_order': \(columnMajor ? "True" : "False"), 'shape': \(shape), }"
  }

  private func littleEndian<Value: FixedWidthInteger>(_ values: [Value]) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
  }

  @Test func readsEveryElementType() throws {
    let cases: [(String, [UInt8], [Float])] = [
      ("<f4", littleEndian([Float(1.5).bitPattern, Float(-2).bitPattern]), [1.5, -2]),
      ("<f8", littleEndian([Double(0.1).bitPattern, Double(-3e38).bitPattern]), [0.1, -3e38]),
      ("|i1", littleEndian([Int8(-128), 127]), [-128, 127]),
      ("|u1", [0, 255], [0, 255]),
      ("<i2", littleEndian([Int16(-300), 300]), [-300, 300]),
      ("<u2", littleEndian([UInt16(1), 65535]), [1, 65535]),
      ("<i4", littleEndian([Int32(-70000), 70000]), [-70000, 70000]),
      ("<u4", littleEndian([UInt32(1), 4_000_000_000]), [1, 4_000_000_000]),
      ("<i8", littleEndian([Int64(-5), 1 << 40]), [-5, 0x1p40]),
      ("<u8", littleEndian([UInt64(7), 1 << 63]), [7, 0x1p63]),
      ("|b1", [0, 1], [0, 1]),
    ]
    for (type, bytes, expected) in cases {
      for version: UInt8 in 1...3 {
        let read = try NumPyFile(parsing: file(header(type, "(2,)"), bytes, version: version))
        #expect(read == NumPyFile(shape: [2], values: expected), "\(type), version \(version)")
      }
    }
  }

  @Test func readsWhatItWrites() throws {
    for shape in [[], [0], [3], [2, 3], [1, 2, 3, 1]] {
      let count = shape.reduce(1, *)
      let array = NumPyFile(shape: shape, values: (0..<count).map { Float($0) / 3 })
      let bytes = array.encoded()
      #expect((bytes.count - count * 4) % 64 == 0)
      #expect(try NumPyFile(parsing: bytes) == array)
    }
  }

  @Test func readsTheKeysInAnyOrder() throws {
    let text = #"{"shape": (1, 2), "descr": "|u1", "fortran_order": False}"#
    #expect(try NumPyFile(parsing: file(text, [3, 4])) == NumPyFile(shape: [1, 2], values: [3, 4]))
  }

  @Test func everyShorterAndLongerFileIsRefused() {
    let whole = NumPyFile(shape: [2, 2], values: [1, 2, 3, 4]).encoded()
    for count in 0..<whole.count {
      #expect(throws: NumPyError.self, "\(count) bytes") { try NumPyFile(parsing: Array(whole[..<count])) }
    }
    #expect(throws: NumPyError.self) { try NumPyFile(parsing: whole + [0]) }
  }

  @Test(arguments: [
    "", "{", "{}", "{'descr': '<f4', 'fortran_order': False}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
    "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1, }",
    "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } + 1",
    "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4, 'fortran_order': False, 'shape': (1,), }",
  ])
  func aBadHeaderIsRefused(_ header: String) {
    #expect(throws: NumPyError.self) { try NumPyFile(parsing: file(header, [0, 0, 0, 0])) }
  }

  @Test func columnMajorMatricesAreRefusedButVectorsRead() throws {
    #expect(throws: NumPyError.self) {
      try NumPyFile(parsing: file(header("|u1", "(2, 2)", columnMajor: true), [1, 2, 3, 4]))
    }
    let vector = try NumPyFile(parsing: file(header("|u1", "(2,)", columnMajor: true), [1, 2]))
    #expect(vector.values == [1, 2])
  }

  @Test func aHeaderOfManyDimensionsIsRefused() {
    let shape = "(" + String(repeating: "1, ", count: 65) + ")"
    #expect(throws: NumPyError.self) { try NumPyFile(parsing: file(header("|u1", shape), [1])) }
  }
}
