import ApusJSON
import ApusServer
import NIOCore

/// One output tensor of an answer, in JSON or as bytes behind it.
struct InferenceOutput {
  let name: String
  let values: Values

  enum Values {
    case numbers([Float])
    /// Triton's classification: `PROBABILITY:INDEX:LABEL`.
    case texts([String])
  }

  let shape: [Int]

  init(_ output: InferenceRequest.Output, _ answer: LocalAnswer, _ model: LocalModel) {
    name = output.name
    let numbers = output.name == "scores" ? answer.scores : answer.probabilities
    guard output.classes > 0 else {
      values = .numbers(numbers)
      shape = [answer.rows, model.classes]
      return
    }
    let most = min(output.classes, model.classes)
    shape = [answer.rows, most]
    values = .texts(
      (0..<answer.rows).flatMap { row in
        let first = row * model.classes
        let best = (0..<model.classes).sorted { numbers[first + $0] > numbers[first + $1] }
        return best.prefix(most).map { "\(numbers[first + $0]):\($0):\(model.label($0))" }
      })
  }

  private var datatype: String {
    switch values {
    case .numbers: "FP32"
    case .texts: "BYTES"
    }
  }

  func write(to text: inout JSONText) {
    begin(&text) {
      $0.key("data")
      $0.array {
        switch values {
        case .numbers(let numbers): for number in numbers { $0.number(number) }
        case .texts(let texts): for element in texts { $0.string(element) }
        }
      }
    }
  }

  /// Writes little-endian floats, or texts each behind its length in 4 bytes, to `binary`.
  func write(to text: inout JSONText, _ binary: inout ByteBuffer) {
    let before = binary.readableBytes
    switch values {
    case .numbers(let numbers): numbers.withUnsafeBytes { _ = binary.writeBytes($0) }
    case .texts(let texts):
      for element in texts {
        binary.writeInteger(UInt32(element.utf8.count), endianness: .little)
        binary.writeString(element)
      }
    }
    let count = binary.readableBytes - before
    begin(&text) {
      $0.key("parameters")
      $0.object { $0.member("binary_data_size", integer: count) }
    }
  }

  private func begin(_ text: inout JSONText, _ data: (inout JSONText) -> Void) {
    text.object {
      $0.member("name", name)
      $0.member("datatype", datatype)
      $0.key("shape")
      $0.array { text in for dimension in shape { text.integer(dimension) } }
      data(&$0)
    }
  }
}
