import ApusBase
import COpenSSL
import Glibc
import Testing

@testable import ApusTLS

/// What a server takes of a client that is not Apus's own.
@Suite struct ProtocolTests {
  // MARK: Versions and ciphers

  @Test func onlyAllowedVersionsAreSpoken() throws {
    for (offered, allowed, spoken) in [
      (TLS1_3_VERSION, TLSVersion.v13, "TLSv1.3"), (TLS1_3_VERSION, .v12, "TLSv1.3"),
      (TLS1_2_VERSION, .v12, "TLSv1.2"), (TLS1_2_VERSION, .v13, nil), (TLS1_1_VERSION, .v13, nil),
      (TLS1_1_VERSION, .v12, nil), (TLS1_VERSION, .v12, nil),
    ] as [(Int32, TLSVersion, String?)] {
      let client = try RawClient(serverContext(minimumVersion: allowed)) {
        SSL_CTX_ctrl($0, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(offered), nil)
        SSL_CTX_set_cipher_list($0, "ALL:@SECLEVEL=0")
      }
      #expect(client.handshake() == (spoken != nil))
      if let spoken {
        #expect(client.server.version == spoken)
      } else {
        #expect(
          client.server.failure
            == "the client speaks no version of TLS that is allowed here; update it, or allow 1.2")
      }
    }
  }

  @Test(arguments: [
    ("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    ("TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    ("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
    ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
  ]) func theServerChoosesTheCipher(_ offered: String, _ chosen: String) throws {
    let client = try RawClient(serverContext()) { SSL_CTX_set_ciphersuites($0, offered) }
    #expect(client.handshake() && client.server.cipher == chosen)
  }

  @Test(arguments: [
    ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ("ECDHE-ECDSA-AES128-SHA256", nil), ("ECDHE-ECDSA-AES128-CCM", nil), ("AES128-GCM-SHA256", nil),
    ("DHE-RSA-AES128-GCM-SHA256", nil),
  ]) func olderCiphersAreFew(_ offered: String, _ chosen: String?) throws {
    let client = try RawClient(serverContext(minimumVersion: .v12)) {
      SSL_CTX_ctrl($0, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
      SSL_CTX_set_cipher_list($0, offered)
    }
    #expect(client.handshake() == (chosen != nil))
    if let chosen {
      #expect(client.server.cipher == chosen)
    } else {
      #expect(client.server.failure?.hasPrefix("the client has no cipher in common with this server") == true)
    }
  }

  @Test(arguments: [("X25519", true), ("P-256", true), ("P-384", true), ("P-521", false), ("X448", false)])
  func groupsAreFew(
    _ group: String, _ isSpoken: Bool
  ) throws {
    let client = try RawClient(serverContext()) { #expect(setGroups($0, group)) }
    #expect(client.handshake() == isSpoken)
  }

  // MARK: ALPN

  @Test(
    arguments: [
      (["apus/1"], true), (["h2", "apus/1"], true), (nil, true), (["h2", "http/1.1"], false),
      (["apus/10"], false), (["apus/"], false), (["apus/2"], false),
    ] as [([String]?, Bool)]) func protocolsAreTold(_ offered: [String]?, _ isTaken: Bool) throws
  {
    let client = try RawClient(serverContext()) { context in
      guard let offered else { return }
      let list = offered.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
      #expect(SSL_CTX_set_alpn_protos(context, list, UInt32(list.count)) == 0)
    }
    #expect(client.handshake() == isTaken)
    var name: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    SSL_get0_alpn_selected(client.ssl, &name, &count)
    let selected = String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    #expect(selected == (isTaken && offered != nil ? "apus/1" : ""))
    if isTaken { return }
    #expect(
      client.server.failure
        == "the client offers protocols (ALPN) but not apus/1; connect with a client of Apus")
    #expect(client.attempt { SSL_do_handshake($0) }.result < 1)
  }

  @Test func aClientSaysWhatTheServersAlertMeans() throws {
    // The alert no_application_protocol (120), as a server of something else would send it.
    let pair = try Pair(clientContext(), serverContext())
    #expect(pair.client.handshake() == .wantsRead)
    pair.toClient.bytes = [21, 3, 3, 0, 2, 2, 120]
    #expect(pair.client.handshake() == .failed)
    #expect(pair.client.failure == "the server does not speak apus/1 (ALPN); connect to a server of Apus")
  }

  // MARK: After the handshake

  @Test func renegotiationIsRefused() throws {
    let client = try RawClient(serverContext(minimumVersion: .v12)) {
      SSL_CTX_ctrl($0, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
    }
    #expect(client.handshake() && client.server.version == "TLSv1.2")
    #expect(client.send([1, 2, 3]) == 3 && client.server.receiveAll().bytes == [1, 2, 3])
    #expect(SSL_renegotiate(client.ssl) == 1)
    _ = client.attempt { SSL_do_handshake($0) }
    #expect(client.server.end.incoming.count > 0)
    let arrived = client.server.receiveAll()
    #expect(arrived.bytes.isEmpty && arrived.last == .wouldBlock)
    // A warning alert (21, version 3.3, encrypted) and nothing else comes back.
    let answer = client.server.end.outgoing.bytes
    #expect(answer.first == 21 && answer.count == 5 + Int(answer[4]))
    #expect(client.attempt { SSL_do_handshake($0) }.reason == "no renegotiation")
  }

  @Test func aChangeOfKeysIsFollowed() throws {
    let client = try RawClient(serverContext()) { _ in }
    #expect(client.handshake())
    for asks in [SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED] {
      #expect(SSL_key_update(client.ssl, asks) == 1)
      #expect(client.send([1, 2, 3]) == 3)
      let arrived = client.server.receiveAll()
      #expect(arrived.bytes == [1, 2, 3] && arrived.last == .wouldBlock)
      #expect(client.server.send([4, 5]) == .bytes(2))
      #expect(client.receive() == [4, 5])
    }
  }

  /// Messages that bring no bytes cost the server much: a peer may not go on with them.
  @Test(arguments: [31, 32, 33, 1000]) func changesOfKeysWithoutEndAreRefused(_ count: Int) throws {
    let client = try RawClient(serverContext()) { _ in }
    #expect(client.handshake())
    for _ in 0..<count {
      #expect(SSL_key_update(client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
      _ = client.attempt { SSL_do_handshake($0) }
    }
    #expect(client.send([1, 2, 3]) == 3)
    let arrived = client.server.receiveAll()
    if count <= 32 {
      #expect(arrived.bytes == [1, 2, 3] && arrived.last == .wouldBlock)
    } else {
      #expect(arrived.bytes.isEmpty && arrived.last == .failed(EPROTO))
      #expect(
        client.server.failure
          == "the client sends too many messages of TLS and too few bytes; update it")
      #expect(client.server.receive() == .failed(EPROTO) && client.server.send([1]) == .failed(EPROTO))
    }
  }

  /// Among many bytes they may be more.
  @Test func changesOfKeysGoWithTheBytes() throws {
    let client = try RawClient(serverContext()) { _ in }
    #expect(client.handshake())
    let bytes = pattern(1 << 20)
    for _ in 0..<40 {
      #expect(SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
      #expect(client.send(bytes) == 1 << 20)
      let arrived = client.server.receiveAll(1 << 20)
      #expect(arrived.bytes == bytes && arrived.last == .wouldBlock)
      #expect(client.server.send([4, 5]) == .bytes(2))
      #expect(client.receive() == [4, 5])
    }
  }

  @Test func aRefusalThatFindsNoRoomHarmsNobody() throws {
    let client = try RawClient(serverContext(minimumVersion: .v12)) {
      SSL_CTX_ctrl($0, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
    }
    #expect(client.handshake())
    client.server.end.outgoing.capacity = 0
    #expect(SSL_renegotiate(client.ssl) == 1)
    _ = client.attempt { SSL_do_handshake($0) }
    #expect(client.server.receiveAll().last == .wouldBlock)
    #expect(client.server.send([1]) == .wouldBlock)
    client.server.end.outgoing.capacity = 1000
    #expect(client.server.send([1]) == .bytes(1))
    #expect(client.server.failure == nil)
  }

  // MARK: No TLS at all

  @Test func whatIsNoTLSIsRefused() throws {
    let noTLS = "what the client sends is no TLS; use TLS on both sides or on neither"
    for (bytes, failure) in [
      (
        Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
        "the client speaks HTTP without TLS; connect to the address for HTTP"
      ),
      (Array("APUS".utf8) + [1, 1] + [UInt8](repeating: 0, count: 26), noTLS),
      ([UInt8](repeating: 0xFF, count: 100), noTLS),
      // A ClientHello with nothing in it.
      ([22, 3, 1, 0, 4, 1, 0, 0, 0], "the client broke the TLS protocol: length too short"),
    ] {
      let end = End(Queue(), Queue())
      let server = Side(end, try TLSSession(server: serverContext(), transport: end.transport))
      end.incoming.bytes = bytes
      #expect(server.handshake() == .failed)
      #expect(server.failure == failure)
      #expect(server.handshake() == .failed)
    }
  }

  @Test func aServerWithoutTLSIsToldApart() throws {
    let pair = try makePair()
    #expect(pair.client.handshake() == .wantsRead)
    pair.toClient.bytes = Array("APUS".utf8) + [1, 2] + [UInt8](repeating: 0, count: 26)
    #expect(pair.client.handshake() == .failed)
    #expect(pair.client.failure == "what the server sends is no TLS; use TLS on both sides or on neither")
  }

  /// An error that one session leaves in this thread's queue is not the next one's.
  @Test func errorsStayWithTheirSession() throws {
    let good = try establishedPair()
    #expect(good.client.send([1, 2, 3]) == .bytes(3))
    ERR_raise()
    #expect(good.server.receive() == .bytes(3))
    ERR_raise()
    #expect(good.server.receive() == .wouldBlock)
    ERR_raise()
    #expect(good.server.send([4]) == .bytes(1))
    good.toServer.capacity = 0
    ERR_raise()
    #expect(good.client.send([4]) == .wouldBlock)
    let other = try makePair()
    ERR_raise()
    #expect(other.client.handshake() == .wantsRead)
    ERR_raise()
    good.server.endSending()
    #expect(ERR_peek_error() == 0)
    ERR_raise()
    #expect(good.client.receiveAll().last == .end)
    #expect(good.client.failure == nil && good.server.failure == nil && other.client.failure == nil)

    let bad = try makePair()
    bad.toServer.bytes = Array("GET / HTTP/1.1\r\n\r\n".utf8)
    #expect(bad.server.handshake() == .failed)
    #expect(ERR_peek_error() == 0)
  }

  /// Leaves an error in this thread's queue, as a careless user of OpenSSL would.
  private func ERR_raise() {
    ERR_new()
    ERR_set_debug("here", 1, "there")
    withVaList([]) { ERR_vset_error(ERR_LIB_SSL, SSL_R_HTTP_REQUEST, nil, $0) }
    #expect(ERR_peek_error() != 0)
  }
}
