import Foundation
import Testing

@testable import ApusEngine
@testable import ApusFormats

@Suite("ONNX files that others wrote")
struct ONNXFileTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let file: String
    let expect: String
    var testDescription: String { file }
  }

  static func cases() -> [Case] {
    guard let object = try? Fixtures.json("bad-onnx/cases.json"),
      let cases = object["cases"] as? [[String: Any]]
    else { return [] }
    return cases.compactMap { entry in
      guard let file = entry["file"] as? String, let expect = entry["expect"] as? String else { return nil }
      return Case(file: file, expect: expect)
    }
  }

  /// What the messages for some of them must name.
  static let named = [
    "onnx_unknown_op.onnx": "TotallyNotAnOp", "onnx_custom_domain.onnx": "Evil",
    "onnx_initializer_short.onnx": "tensor w",
    "onnx_initializer_negdim.onnx": "[-4]", "onnx_external_traversal.onnx": "../../../../etc/passwd",
    "onnx_cycle.onnx": "'b'", "onnx_undefined_input.onnx": "'nowhere'", "onnx_opset_9999.onnx": "9999",
    "onnx_no_graph.onnx": "no graph", "onnx_varint_overlong.onnx": "64 bits",
    "onnx_length_overflow.onnx": "cut short",
    "onnx_deep_groups.onnx": "group", "gen_onnx_empty.onnx": "empty", "gen_onnx_trunc_half.onnx": "cut short",
  ]

  @Test("All cases are here")
  func count() { #expect(Self.cases().count == 38) }

  /// Reads a file and runs it on zeros.
  private func refusal(_ bytes: [UInt8]) -> String? {
    do throws(FormatError) {
      let file = try readONNX(bytes)
      do throws(GraphError) {
        var inputs: [Tensor] = []
        for input in file.graph.inputs {
          inputs.append(Tensor(try TensorType(input.element, input.shape.map { $0 ?? 2 })))
        }
        _ = try Evaluation(file.graph, inputs: inputs)
        return nil
      } catch { return error.description }
    } catch { return error.description }
  }

  @Test("Each bad file is refused, when it is read or when it runs", arguments: cases())
  func bad(_ bad: Case) throws {
    let message = refusal(try Fixtures.bytes("bad-onnx/\(bad.file)"))
    let mayRun = bad.expect.contains("altered weights") || bad.expect.contains("an error or a value")
    #expect(message != nil || mayRun)
    guard let message else { return }
    #expect(!message.isEmpty && message.count < 2_000 && !message.contains("\n"), "\(message)")
    if let name = Self.named[bad.file] { #expect(message.contains(name), "\(message)") }
  }

  struct Model: Sendable, CustomTestStringConvertible {
    let path: String
    let producer: String
    let opset: Int
    let operators: [String: Int]
    let inputs: [[Int?]]
    /// Bytes of all constants.
    let constantBytes: Int
    var testDescription: String { path }
  }

  static let models = [
    Model(
      path: "digits_mlp/digits_mlp.onnx", producer: "pytorch 2.15.0+cu132", opset: 20,
      operators: ["Gemm": 3, "Relu": 2], inputs: [[nil, 64]], constantBytes: 68_904),
    Model(
      path: "digits_mlp/digits_mlp.legacy.onnx", producer: "pytorch 2.15.0", opset: 13,
      operators: ["Gemm": 3, "Relu": 2], inputs: [[nil, 64]], constantBytes: 68_904),
    Model(
      path: "digits_mlp/digits_mlp.int8dyn.onnx", producer: "onnx.quantize 0.1.0", opset: 13,
      operators: ["DynamicQuantizeLinear": 3, "MatMulInteger": 3, "Cast": 3, "Mul": 6, "Add": 3, "Relu": 2],
      inputs: [[nil, 64]], constantBytes: 17_847),
    Model(
      path: "digits_cnn/digits_cnn.onnx", producer: "pytorch 2.15.0+cu132", opset: 20,
      operators: ["Conv": 2, "Relu": 3, "MaxPool": 2, "Gemm": 2, "Reshape": 1], inputs: [[nil, 1, 8, 8]],
      constantBytes: 14_648),
    Model(
      path: "sklearn_logreg/logreg.onnx", producer: "skl2onnx 1.20.0", opset: 22,
      operators: ["ai.onnx.ml:Scaler": 1, "ai.onnx.ml:LinearClassifier": 1, "ai.onnx.ml:Normalizer": 1],
      inputs: [[nil, 4]], constantBytes: 0),
  ]

  @Test("The structure of real models is read", arguments: models)
  func structure(_ model: Model) throws {
    let bytes = try Fixtures.bytes("torch/\(model.path)")
    let file = try readONNX(bytes, operators: StandIn.table(Array(model.operators.keys)))
    #expect(file.producer == model.producer && file.opset == model.opset)
    let counts = Dictionary(file.graph.nodes.map { ($0.operation.name, 1) }, uniquingKeysWith: +)
    #expect(counts == model.operators)
    #expect(file.graph.inputs.map(\.shape) == model.inputs)
    #expect(file.graph.values.compactMap { $0.constant?.type.byteCount }.reduce(0, +) == model.constantBytes)
  }

  @Test("An operator of another domain is refused by its name")
  func otherDomain() throws {
    let message = onnxRefusal(try Fixtures.bytes("torch/digits_mlp/digits_mlp.int8qop.onnx"))
    #expect(message?.contains("QuantizeLinear") == true || message?.contains("com.microsoft.QGemm") == true)
  }
}
