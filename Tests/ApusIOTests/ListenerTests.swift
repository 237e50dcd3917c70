import ApusBase
import ApusIO
import Glibc
import Testing

@Suite struct ListenerTests {
  @Test func aConnectionIsAcceptedOnEachKindOfAddress() throws {
    let folder = try TemporaryFolder()
    for address in [Address.unix(path: folder.file("a.sock")), .tcp(host: "127.0.0.1", port: 0)] {
      let listener = try Listener(address)
      #expect(accepts(listener) == false, "nobody has connected, and nobody waits")
      let client = try listener.address.connect()
      let accepted = listener.accept()
      guard let accepted else {
        Issue.record("no connection on \(address)")
        continue
      }
      #expect(send([1, 2, 3], to: client) == .bytes(3))
      #expect(receive(8, from: accepted) == .bytes(3))
    }
  }

  @Test func aPortThatTheKernelChoseIsTold() throws {
    let first = try Listener(.tcp(host: "127.0.0.1", port: 0))
    let second = try Listener(.tcp(host: "127.0.0.1", port: 0))
    guard case .tcp(let host, let port) = first.address else {
      Issue.record("no TCP address")
      return
    }
    #expect(host == "127.0.0.1" && port != 0)
    #expect(first.address != second.address)
    #expect { _ = try Listener(first.address) } throws: { ($0 as? SystemError)?.errorNumber == EADDRINUSE }
  }

  @Test func aFileThatCanBeSeenCanBeConnectedTo() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("seen.sock")
    let refusals = Locked(0)
    for _ in 0..<500 {
      let client = try Thread(name: "seen") {
        while mode(path) == nil {}
        do throws(SystemError) { _ = try Address.unix(path: path).connect() } catch {
          refusals.withLock { $0 += 1 }
        }
      }
      let listener = try Listener(.unix(path: path))
      client.join()
      listener.stop()
    }
    #expect(refusals.withLock { $0 } == 0)
    #expect(mode(path + "~") == nil)
  }

  @Test(arguments: [0o600, 0o660, 0o666] as [UInt32])
  func theSocketFileHasTheModeThatWasAskedFor(_ wanted: UInt32) throws {
    let folder = try TemporaryFolder()
    let path = folder.file("mode.sock")
    let listener = try Listener(.unix(path: path), mode: wanted)
    #expect(mode(path) == S_IFSOCK | mode_t(wanted))
    listener.stop()
  }

  @Test func theFileGoesWhenTheListenerStopsOrEnds() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("life.sock")
    do {
      let listener = try Listener(.unix(path: path))
      #expect(mode(path) != nil)
      listener.stop()
      #expect(mode(path) == nil)
      #expect { _ = try Address.unix(path: path).connect() } throws: {
        ($0 as? SystemError)?.errorNumber == ENOENT
      }
      listener.stop()
    }
    do {
      let listener = try Listener(.unix(path: path))
      #expect(mode(path) != nil)
      _ = consume listener
    }
    #expect(mode(path) == nil)
  }

  @Test func aFileThatAKilledServerLeftIsReplaced() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("stale.sock")
    try leaveSocketFile(path)
    let listener = try Listener(.unix(path: path))
    let client = try Address.unix(path: path).connect()
    #expect(accepts(listener) == true)
    _ = consume client
  }

  @Test func aRunningServerIsLeftAlone() throws {
    let folder = try TemporaryFolder()
    let address = Address.unix(path: folder.file("live.sock"))
    let listener = try Listener(address)
    #expect { _ = try Listener(address) } throws: { error in
      (error as? SystemError)?.errorNumber == EADDRINUSE && "\(error)".contains("live.sock")
    }
    // The look of the second at the first was a connection; the next is a client's.
    while accepts(listener) {}
    let client = try address.connect()
    #expect(accepts(listener) == true)
    _ = consume client
  }

  @Test func whatIsNoSocketIsLeftAlone() throws {
    let folder = try TemporaryFolder()
    let file = folder.file("notes.txt")
    let descriptor = Descriptor(owning: open(file, O_CREAT | O_WRONLY, 0o600))
    #expect(write(descriptor.number, "kept", 4) == 4)
    let stale = folder.file("stale.sock")
    try leaveSocketFile(stale)
    let link = folder.file("link.sock")
    #expect(symlink(stale, link) == 0)
    for path in [file, link] {
      let before = mode(path)
      #expect { _ = try Listener(.unix(path: path)) } throws: { error in
        (error as? SystemError)?.errorNumber == EEXIST && "\(error)".contains(path)
      }
      #expect(mode(path) == before)
    }
    #expect(mode(stale) != nil)
  }

  @Test func aMissingFolderIsAnErrorWithThePath() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("none/a.sock")
    #expect { _ = try Listener(.unix(path: path)) } throws: { error in
      (error as? SystemError)?.errorNumber == ENOENT && "\(error)".contains(path)
    }
  }

  /// Whether a connection waited; it is closed.
  private func accepts(_ listener: borrowing Listener) -> Bool {
    guard let connection = listener.accept() else { return false }
    _ = consume connection
    return true
  }

  /// Binds a socket and closes it without removing its file.
  private func leaveSocketFile(_ path: String) throws {
    let descriptor = Descriptor(owning: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor.number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(result == 0)
  }
}
