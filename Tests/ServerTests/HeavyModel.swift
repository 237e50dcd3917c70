import ApusWire
import Foundation

/// Files of a model of three layers of zeros. A row of it takes 2 million operations for a width of 1000, and
/// with the width squared, so that a call of many rows keeps a worker for as long as a test needs.
enum HeavyModel {
  /// A folder with the model as `heavy`.
  static func folder(width: Int) throws -> ModelFolder {
    let sizes = [4, width, width, 3]
    var header: [String] = []
    var offset = 0
    func add(_ name: String, _ shape: [Int]) {
      let end = offset + 4 * shape.reduce(1, *)
      header.append(#""\#(name)":{"dtype":"F32","shape":\#(shape),"data_offsets":[\#(offset),\#(end)]}"#)
      offset = end
    }
    for layer in 0..<3 {
      add("\(layer).weight", [sizes[layer + 1], sizes[layer]])
      add("\(layer).bias", [sizes[layer + 1]])
    }
    let text = Data("{\(header.joined(separator: ","))}".utf8)
    var file = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
    file += text
    file += Data(count: offset)
    let description = """
      architecture: {type: mlp, activation: relu}
      output: softmax
      input: {kind: tensor, shape: [4], dtype: float32}

      """
    return try ModelFolder().write("heavy/1/model.safetensors", file)
      .write("heavy/1/model.yaml", Data(description.utf8))
  }

  static func call(_ id: UInt64, rows: Int) -> [UInt8] {
    classifyFrame(id, "heavy", [Float](repeating: 1, count: 4 * rows), rows: rows) { $0.topK = 1 }
  }
}
