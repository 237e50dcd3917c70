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

  private func memory(_ flags: UInt32, seals: Int32) throws -> Descriptor {
    let number = memfd_create("test", flags)
    try #require(number >= 0, "\(String(cString: strerror(errno)))")
    try #require(ftruncate(number, 8192) == 0)
    if seals != 0 { try #require(fcntl(number, F_ADD_SEALS, seals) == 0) }
    return Descriptor(owning: number)
  }

  @Test func sealedMemoryIsTakenAndReadWhereItLies() throws {
    let descriptor = try memory(UInt32(MFD_ALLOW_SEALING), seals: F_SEAL_SHRINK)
    let region = try SharedRegion(descriptor, byteCount: 5000)
    #expect(region.bytes.count == 5000 && region.bytes[0] == 0)
    let mine = try SharedMemory(mapping: descriptor, byteCount: 8192, isWritable: true)
    mine.bytes[4999] = 42
    #expect(region.bytes[4999] == 42)
  }

  @Test func memoryThatCanBecomeSmallerIsRefused() throws {
    let open = try memory(UInt32(MFD_ALLOW_SEALING), seals: 0)
    #expect(error(open) == EPERM)
    let growing = try memory(UInt32(MFD_ALLOW_SEALING), seals: F_SEAL_GROW)
    #expect(error(growing) == EPERM)
    let unsealable = try memory(0, seals: 0)
    #expect(error(unsealable) == EPERM)
  }

  @Test func lessMemoryThanIsSaidIsRefused() throws {
    let descriptor = try memory(UInt32(MFD_ALLOW_SEALING), seals: F_SEAL_SHRINK)
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
    let (reading, writing) = (Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
    #expect(error(reading) == EMEDIUMTYPE && error(writing) == EMEDIUMTYPE)
    let device = Descriptor(owning: Glibc.open("/dev/zero", O_RDWR))
    #expect(error(device) != 0)
    let folder = Descriptor(owning: Glibc.open("/tmp", O_RDONLY))
    #expect(error(folder) != 0)
  }

  /// Huge pages may be missing when they are first read.
  @Test func hugePagesAreRefused() throws {
    let number = memfd_create("test", UInt32(MFD_ALLOW_SEALING | MFD_HUGETLB))
    guard number >= 0 else { return }
    let huge = Descriptor(owning: number)
    _ = fcntl(huge.number, F_ADD_SEALS, F_SEAL_SHRINK)
    #expect(error(huge) == EMEDIUMTYPE)
  }

  @Test func memoryOfALaneKeepsItsSize() throws {
    let descriptor = try SharedMemory.make(byteCount: 8192)
    #expect(ftruncate(descriptor.number, 4096) != 0 && ftruncate(descriptor.number, 16_384) != 0)
    #expect(fcntl(descriptor.number, F_ADD_SEALS, F_SEAL_WRITE) != 0)
    #expect(try SharedMemory.byteCount(of: descriptor) == 8192)
  }
}
