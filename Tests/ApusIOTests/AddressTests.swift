import ApusIO
import Testing

@Suite struct AddressTests {
  @Test(
    arguments: [
      ("unix:/run/apus.sock", .unix(path: "/run/apus.sock")), ("unix:apus.sock", .unix(path: "apus.sock")),
      ("unix:/a:b/c", .unix(path: "/a:b/c")), ("tcp://127.0.0.1:7070", .tcp(host: "127.0.0.1", port: 7070)),
      ("tcp://localhost:0", .tcp(host: "localhost", port: 0)),
      ("tcp://[::1]:65535", .tcp(host: "::1", port: 65535)),
      ("tcp://models.example:80", .tcp(host: "models.example", port: 80)),
      ("tls://models.example:443", .tls(host: "models.example", port: 443)),
      ("tls://[::1]:7443", .tls(host: "::1", port: 7443)),
    ] as [(String, Address)])
  func textsBecomeAddressesAndTextsAgain(_ text: String, _ address: Address) throws {
    #expect(try Address(text) == address)
    #expect(address.description == text)
  }

  @Test(
    arguments: [
      "", "unix", "unix:", "unix:a\0b", "/run/apus.sock", "tcp://", "tcp://host", "tcp://host:", "tcp://:80",
      "tcp://[]:80", "tcp://host:65536", "tcp://host:-1", "tcp://host:http", "http://host:80",
      "TCP://host:80", "tls://", "tls://host", "tls://host:", "tls://[]:80", "tls:host:80",
    ])
  func otherTextsAreRefusedWithTheText(_ text: String) {
    #expect { try Address(text) } throws: { error in
      "\(error)".contains("'\(text)'") && !"\(error)".contains("\n")
    }
  }

  /// sockaddr_un holds 108 bytes with the terminator (man 7 unix).
  @Test func aSocketPathHasUpTo107Bytes() throws {
    let longest = String(repeating: "ü", count: 53) + "x"
    #expect(try Address("unix:\(longest)") == .unix(path: longest))
    #expect(throws: Address.Invalid.self) { try Address("unix:\(longest)x") }
  }

  @Test func loopbackAndUnixAreLocal() throws {
    for text in [
      "unix:/a", "tcp://localhost:1", "tcp://127.0.0.1:1", "tcp://127.8.9.10:1", "tcp://[::1]:1",
      "tls://[::1]:1",
    ] {
      #expect(try Address(text).isLocal, "\(text)")
    }
    for text in [
      "tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://10.0.0.1:1", "tcp://127.example:1", "tcp://example:1",
      "tls://10.0.0.1:1",
    ] {
      #expect(try !Address(text).isLocal, "\(text)")
    }
  }
}
