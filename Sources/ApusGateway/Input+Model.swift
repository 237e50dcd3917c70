import ApusJSON
import ApusServer
import ApusWire

extension Input {
  /// The rows that a model takes: a single input, or a batch of them.
  ///
  /// - Throws: INVALID_ARGUMENT that says what would fit.
  func rows(for model: LocalModel, _ service: LocalService) throws(Status) -> (values: [Float], rows: Int) {
    switch self {
    case .numbers(let values, let shape):
      let wanted = model.served.inputShape
      if shape == wanted || (shape.count == 1 && shape[0] == model.inputs) { return (values, 1) }
      let row = Array(shape.dropFirst())
      guard shape.count > 1, shape[0] > 0, row == wanted || row == [model.inputs] else {
        throw Self.misfit(model, "numbers of shape \(Self.text(shape))")
      }
      return (values, shape[0])
    case .texts(let texts):
      guard model.served.features != nil else { throw Self.misfit(model, "text") }
      return (try service.rows(of: texts, for: model), texts.count)
    }
  }

  private static func misfit(_ model: LocalModel, _ given: String) -> Status {
    let shape = model.served.inputShape.map { String($0) }.joined(separator: ", ")
    let texts = model.served.features == nil ? "" : "texts, or "
    return Status(
      .invalidArgument, "SHAPE_MISMATCH",
      "model '\(model.served.name)' takes \(texts)numbers of shape (\(shape)), or a list of such; "
        + "the call holds \(given)")
  }

  private static func text(_ shape: [Int]) -> String {
    "(" + shape.map { String($0) }.joined(separator: ", ") + ")"
  }
}
