import ApusBase
import ApusEngine
import ApusIO
import ApusMetrics
import ApusServer
import ApusWire
import Foundation
import Testing

/// A server in this process, whose metrics can be read.
final class MetricsServer {
  let server: Server
  let files: ModelFolder

  var address: String { "unix:\(files.path)/s" }

  static func model(
    _ name: String, version: UInt64 = 1, inputs: Int = 4, outputs: Int = 3
  ) throws -> ServedModel {
    let layer = try Network.Layer(
      name: "0", inputs: inputs, outputs: outputs, weights: [Float](repeating: 0, count: inputs * outputs),
      bias: [Float](repeating: 0, count: outputs), activation: .none)
    return try model(
      name, version: version, Classifier(Network(layers: [layer], output: .softmax)))
  }

  static func model(_ name: String, version: UInt64 = 1, _ classifier: Classifier) throws -> ServedModel {
    let plan = try Plan(classifier, planning: .fixed(.sgemm))
    var description = ModelDescription()
    description.format = "safetensors"
    description.inputShape = classifier.inputShape
    let element = classifier.inputElement.rawValue
    description.inputType = DataType.allCases.first { $0.name == element } ?? .float32
    description.classes = classifier.outputs
    description.batchMaximum = 65_536
    return ServedModel(
      name: name, version: version, description, state: .ready, loaded: LoadedModel(plan, labels: []))
  }

  static func failed(_ name: String) -> ServedModel {
    ServedModel(name: name, version: 1, ModelDescription(), state: .failed, failure: "it is broken")
  }

  init(
    _ models: [ServedModel], _ change: (inout Server.Configuration, ModelFolder) throws -> Void = { _, _ in }
  ) throws {
    files = try ModelFolder()
    var configuration = Server.Configuration()
    configuration.listen = [.unix(path: "\(files.path)/s")]
    configuration.limits.drainNanoseconds = 1_000_000_000
    configuration.limits.lingerNanoseconds = 100_000_000
    try change(&configuration, files)
    server = try Server(catalog: Catalog(models), configuration)
  }

  deinit { server.drain() }

  func metrics(_ format: MetricsFormat = .prometheus) throws -> Exposition {
    try Exposition(server.metrics(format), format)
  }

  /// Sends frames and gives as many answers; how many bytes went each way.
  @discardableResult
  func exchange(_ frames: [[UInt8]], _ connection: RawConnection) throws -> (sent: Int, received: Int) {
    var sent = 0
    var received = 0
    for frame in frames {
      sent += connection.send(frame)
      let header = try #require(try connection.answer()).header
      let layout = FrameLayout(
        metadataBytes: Int(header.metadataBytes), bodyBytes: Int(header.bodyBytes))
      received += layout.frameBytes
    }
    return (sent, received)
  }
}
