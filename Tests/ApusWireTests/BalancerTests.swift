import ApusBase
import ApusWire
import Foundation
import Testing

/// The bytes in HAProxy's health check are those that the encoder makes.
@Suite struct BalancerTests {
  private func frame(_ header: FrameHeader, _ metadata: [UInt8]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: FrameHeader.byteCount)
    bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
    bytes += metadata
    let layout = FrameLayout(metadataBytes: metadata.count, bodyBytes: 0)
    return bytes + [UInt8](repeating: 0, count: layout.frameBytes - bytes.count)
  }

  private func healthAnswer(_ status: ServingStatus, detail: String = "") -> [UInt8] {
    let response = HealthResponse(status: status, detail: detail)
    let metadata = encoded { response.encode(into: $0, arena: $1) }
    return frame(
      FrameHeader(
        kind: .answer, method: Method.health.rawValue, requestID: 1, metadataBytes: metadata.count), metadata)
  }

  /// The hexadecimal numbers of the lines that begin with one of the check's steps, one after the other.
  private func check(_ step: String) throws -> [UInt8] {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let file = root.appendingPathComponent("deploy/haproxy/haproxy.cfg")
    let digits = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      .map { $0.trimmingCharacters(in: .whitespaces) }
      .filter { $0.hasPrefix("tcp-check \(step)") }
      .flatMap { $0.split(separator: " ") }
      .map { $0.hasPrefix("^") ? $0.dropFirst() : $0 }
      .filter { $0.count >= 32 && $0.allSatisfy(\.isHexDigit) }
      .flatMap { Array($0.utf8) }
    return stride(from: 0, to: digits.count - 1, by: 2).compactMap { place in
      UInt8(String(decoding: digits[place...place + 1], as: UTF8.self), radix: 16)
    }
  }

  @Test func theCheckSendsAHealthRequest() throws {
    let request = ModelNameRequest(model: "")
    let metadata = encoded { request.encode(into: $0, arena: $1) }
    let header = FrameHeader(
      kind: .request, method: Method.health.rawValue, requestID: 1, metadataBytes: metadata.count)
    #expect(try check("send-binary") == frame(header, metadata))
  }

  @Test func theCheckExpectsThatAServerServes() throws {
    let expected = try check("expect")
    let serving = healthAnswer(.serving)
    #expect(expected.count > FrameHeader.byteCount && serving.starts(with: expected))
    #expect(serving.count == 64, "the check decides after 64 bytes")
    for status in [ServingStatus.unknown, .notServing, .serviceUnknown] {
      #expect(!healthAnswer(status).starts(with: expected))
      #expect(!healthAnswer(status, detail: "the server is shutting down").starts(with: expected))
    }
  }
}
