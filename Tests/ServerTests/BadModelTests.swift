import ApusBase
import ApusClient
import ApusWire
import Foundation
import Testing

/// What becomes of a server that is given bad model files while it serves a good version.
@Suite struct BadModelTests {
  private static let patience: UInt64 = 30_000_000_000
  private static let fixtures = ServerProcess.root.appending(path: "Tests/Fixtures")
  private static let rows = [Float](repeating: 0.5, count: 3 * 64)

  private let repository: URL
  private let server: ServerProcess
  private let client: SynchronousClient

  init() throws {
    repository = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString.prefix(8))")
    try Self.write("torch/digits_mlp/digits_mlp.onnx", to: repository.appending(path: "digits/1/model.onnx"))
    server = try ServerProcess(models: repository.path)
    client = try SynchronousClient(server.unix)
  }

  private static func write(_ fixture: String, to target: URL) throws {
    try FileManager.default.createDirectory(
      at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(contentsOf: fixtures.appending(path: fixture)).write(to: target)
  }

  private func answer(_ name: String = "digits", _ numbers: [Float] = rows, rows: Int = 3) throws -> [Float] {
    var result = ClassifyResult()
    try client.classify(
      numbers, ClassifyCall(name, shape: [rows, numbers.count / rows]), into: &result)
    return result.probabilities
  }

  private func status(_ error: any Error) -> ServerStatus? {
    if case .status(let status) = error as? ClientError { status } else { nil }
  }

  @Test func aGoodVersionIsServedWhileBadOnesArePublished() throws {
    let good = try answer()
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.fixtures.path + "/bad-onnx")
      .filter { $0.hasSuffix(".onnx") }
    #expect(files.count == 38)
    var refused = 0
    for file in files.sorted() {
      let folder = repository.appending(path: "../\(UUID().uuidString)")
      defer { try? FileManager.default.removeItem(at: folder) }
      try Self.write("bad-onnx/\(file)", to: folder.appending(path: "model.onnx"))
      for name in ["digits", "other"] {
        do {
          _ = try client.publish(
            folder: folder.path, BeginPublishRequest(model: name), timeoutNanoseconds: Self.patience)
          // One that loads answers its calls or refuses them.
          let model = try #require(client.models(timeoutNanoseconds: Self.patience).last { $0.name == name })
          let numbers = model.inputs[0].shape.dropFirst().reduce(1) { $0 * Int($1) }
          do { _ = try answer(name, [Float](repeating: 0, count: numbers), rows: 1) } catch {
            #expect(status(error) != nil, "\(file): \(error)")
          }
          _ = try client.withdraw(
            VersionRequest(model: name, version: model.version), timeoutNanoseconds: Self.patience)
        } catch {
          #expect(status(error)?.reason == "MODEL_FAILED", "\(file): \(error)")
          refused += 1
        }
      }
      #expect(try answer() == good, "\(file)")
    }
    #expect(refused >= 50)
    #expect(server.terminate() == 0)
  }

  /// Who copies a file over the one that is served neither changes answers nor ends the server.
  @Test(arguments: [
    "digits_mlp.onnx", "digits_mlp.safetensors", "digits_mlp.f16.safetensors", "digits_mlp.pth",
  ])
  func aFileThatIsOverwrittenInPlaceIsNotReadAgain(_ file: String) throws {
    let ending = try #require(file.split(separator: ".").last)
    let path = repository.appending(path: "other/1/model.\(ending)")
    try Self.write("torch/digits_mlp/\(file)", to: path)
    let server = try ServerProcess(models: repository.path)
    let client = try SynchronousClient(server.unix)
    func answer() throws -> [Float] {
      var result = ClassifyResult()
      try client.classify(Self.rows, ClassifyCall("other", shape: [3, 64]), into: &result)
      return result.probabilities
    }
    let before = try answer()
    let handle = try FileHandle(forWritingTo: path)
    let size = try handle.seekToEnd()
    try handle.seek(toOffset: 0)
    handle.write(Data(repeating: 0xff, count: Int(size)))
    #expect(try answer() == before)
    try handle.truncate(atOffset: 0)
    #expect(try answer() == before)
    #expect(server.terminate() == 0)
  }
}
