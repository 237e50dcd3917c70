import ApusBase
import ApusIO
import Glibc
import Testing

@Suite struct PeerCredentialsTests {
  @Test func theOtherEndOfAPairIsThisProcess() throws {
    var numbers: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &numbers) == 0)
    let one = Descriptor(owning: numbers[0])
    let other = Descriptor(owning: numbers[1])
    let found = PeerCredentials(one)
    let credentials = try #require(found)
    #expect(credentials.user == getuid())
    #expect(credentials.groups.first == getgid())
    #expect(Set(credentials.groups).count == credentials.groups.count)
    let same = PeerCredentials(other)
    #expect(same == credentials)
  }

  @Test func whatIsNoUnixSocketVouchesForNobody() throws {
    let file = Descriptor(owning: open("/dev/null", O_RDONLY))
    let found = PeerCredentials(file)
    #expect(found == nil)
  }
}

@Suite struct FileBytesTests {
  @Test func aFileIsReadWholeUpToItsLimit() throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let path = folder.file("f")
    let number = open(path, O_CREAT | O_WRONLY, 0o600)
    #expect(write(number, bytes, bytes.count) == bytes.count)
    close(number)
    #expect(try fileBytes(path, atMost: bytes.count) == bytes)
    #expect(throws: SystemError.self) { try fileBytes(path, atMost: bytes.count - 1) }
    #expect(throws: SystemError.self) { try fileBytes(folder.file("none"), atMost: 10) }
    #expect(throws: SystemError.self) { try fileBytes("/", atMost: 10) }
  }
}
