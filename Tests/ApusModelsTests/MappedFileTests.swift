import ApusModels
import Foundation
import Testing

@Suite struct MappedFileTests {
  /// What was forgotten is read again; what is not the file's is left alone.
  @Test func forgottenPagesAreReadAgain() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let contents = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
    try Data(contents).write(to: URL(fileURLWithPath: path))
    let file = try MappedFile(path: path)
    let mine = UnsafeMutableRawBufferPointer.allocate(byteCount: 20_000, alignment: 4096)
    defer { mine.deallocate() }
    mine.initializeMemory(as: UInt8.self, repeating: 7)
    for part in [0..<100_000, 5..<6, 4_000..<90_001, 0..<0] {
      file.forget(UnsafeRawBufferPointer(rebasing: file.bytes[part]))
      file.forget(UnsafeRawBufferPointer(mine))
      #expect(file.bytes.elementsEqual(contents))
    }
    #expect(mine.allSatisfy { $0 == 7 })
    file.forget(UnsafeRawBufferPointer(start: nil, count: 0))
  }

  /// Of a mapping of many pages that were read, none is in this process's memory any more.
  @Test func forgottenPagesTakeNoMemory() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(repeating: 1, count: 8 << 20).write(to: URL(fileURLWithPath: path))
    let file = try MappedFile(path: path)
    func residentKiB() throws -> Int {
      let handle = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
      let maps = String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self).split(separator: "\n")
      let first = try #require(maps.firstIndex { $0.hasSuffix(path) })
      let line = try #require(maps[first...].first { $0.hasPrefix("Rss:") })
      return try #require(Int(line.split(separator: " ")[1]))
    }
    #expect(file.bytes.reduce(0) { $0 + Int($1) } == 8 << 20)
    #expect(try residentKiB() == 8 << 10)
    file.forget(file.bytes)
    #expect(try residentKiB() == 0)
  }
}
