import ApusClient
import Foundation
import Testing

@Suite struct EndToEndTests {
  @Test func realServerClassifiesAndDrains() throws {
    let server = try ServerProcess()
    var client: SynchronousClient? = try SynchronousClient(server.unix)
    var result = ClassifyResult()
    let input = [Float](repeating: 0.5, count: 100)
    let call = ClassifyCall("textclassifier")
    for _ in 0..<100 {
      try client?.classify(input, call, into: &result)
      #expect(abs(result.probabilities.reduce(0, +) - 1) < 1e-6)
      #expect(result.probabilities.count == 2)
    }
    #expect(throws: ClientError.self) { try client?.classify(input, ClassifyCall("nobody"), into: &result) }
    #expect(throws: ClientError.self) { try client?.classify(input, ClassifyCall("digits"), into: &result) }
    client = nil
    #expect(server.terminate() == 0)
    #expect(!FileManager.default.fileExists(atPath: server.socket))
  }
}
