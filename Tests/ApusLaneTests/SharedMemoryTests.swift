import ApusIO
import CLinux
import Foundation
import Glibc
import Testing

@testable import ApusLane

/// Memory that another process hands over: what could vanish while it is read is refused.
@Suite struct SharedMemoryTests {
  private func error(_ descriptor: borrowing Descriptor, _ byteCount: Int = 4096) -> Int32 {
    do {
      _ = try SharedRegion(descriptor, byteCount: byteCount)
      return 0
    } catch { return error.errorNumber }
  }

  private func memory(seals: Int) throws -> Descriptor {
    let number = clinux_shared_memory("test", 8192, Int32(seals), 0)
    try #require(number >= 0, "\(String(cString: strerror(-number)))")
    return Descriptor(owning: number)
  }

  @Test func sealedMemoryIsTakenAndReadWhereItLies() throws {
    let descriptor = try memory(seals: Int(CLINUX_SEAL_SHRINK))
    let region = try SharedRegion(descriptor, byteCount: 5000)
    #expect(region.bytes.count == 5000 && region.bytes[0] == 0)
    let mine = try SharedMemory(mapping: descriptor, byteCount: 8192, isWritable: true)
    mine.bytes[4999] = 42
    #expect(region.bytes[4999] == 42)
  }

  @Test func memoryThatCanBecomeSmallerIsRefused() throws {
    let open = try memory(seals: 0)
    #expect(error(open) == EPERM)
    let growing = try memory(seals: Int(CLINUX_SEAL_GROW))
    #expect(error(growing) == EPERM)
    let sealed = try memory(seals: Int(CLINUX_SEAL_SEAL))
    #expect(error(sealed) == EPERM)
  }

  @Test func lessMemoryThanIsSaidIsRefused() throws {
    let descriptor = try memory(seals: Int(CLINUX_SEAL_SHRINK))
    #expect(error(descriptor, 8193) == EFBIG)
    #expect(error(descriptor, 0) == EFBIG)
    #expect(error(descriptor, -1) == EFBIG)
    #expect(error(descriptor, 8192) == 0)
  }

  @Test func whatIsNoOrdinaryMemoryIsRefused() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)").path
    defer { unlink(path) }
    let file = Descriptor(owning: Glibc.open(path, O_RDWR | O_CREAT, 0o600))
    try #require(ftruncate(file.number, 8192) == 0)
    // A file of a disk, or of a tmpfs that a user has mounted, which cannot be sealed.
    #expect([EMEDIUMTYPE, EPERM].contains(error(file)))
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    let reading = Descriptor(owning: ends[0])
    let writing = Descriptor(owning: ends[1])
    #expect(error(reading) == EMEDIUMTYPE && error(writing) == EMEDIUMTYPE)
    let device = Descriptor(owning: Glibc.open("/dev/zero", O_RDWR))
    #expect(error(device) != 0)
    let folder = Descriptor(owning: Glibc.open("/tmp", O_RDONLY))
    #expect(error(folder) != 0)
  }

  /// Huge pages may be missing when they are first read.
  @Test func hugePagesAreRefused() throws {
    let number = clinux_shared_memory("test", 2 << 20, Int32(CLINUX_SEAL_SHRINK), 1)
    guard number >= 0 else { return }
    let huge = Descriptor(owning: number)
    #expect(error(huge) == EMEDIUMTYPE)
  }

  @Test func memoryOfALaneKeepsItsSize() throws {
    let descriptor = try SharedMemory.make(byteCount: 8192)
    #expect(ftruncate(descriptor.number, 4096) != 0 && ftruncate(descriptor.number, 16_384) != 0)
    #expect(try SharedMemory.byteCount(of: descriptor) == 8192)
  }
}
