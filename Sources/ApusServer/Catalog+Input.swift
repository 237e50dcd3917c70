import ApusBase
import ApusEngine
import ApusWire

/// What a call holds, against what its version takes.
extension Catalog {
  /// Rows of a call's input.
  ///
  /// - Throws: INVALID_ARGUMENT that names what the version takes, and which other versions would take this.
  func rows(of input: InputPart, for index: Int) throws(Status) -> Int {
    let model = models[index]
    let holdsTexts = model.features != nil && input.dtype == .utf8
    guard holdsTexts || input.dtype == model.description.inputType else {
      throw Status(.invalidArgument, "DTYPE_MISMATCH", mismatch(index, input, input.dtype.name))
    }
    guard !holdsTexts || !input.lengths.isEmpty else {
      throw Status(.invalidArgument, "SHAPE_MISMATCH", "the call holds no text; send one at least")
    }
    guard let rows = model.rows(of: input) else {
      throw Status(.invalidArgument, "SHAPE_MISMATCH", mismatch(index, input, ApusWire.describe(input.shape)))
    }
    return rows
  }

  private func mismatch(_ index: Int, _ input: InputPart, _ held: String) -> String {
    let model = models[index]
    let text = "model '\(model.name)' takes \(model.taken); the call holds \(held)"
    let fitting = versions(of: model.name).filter { $0.rows(of: input) != nil }
    let others = fitting.suffix(Self.mostListed).map { String($0.version) }
    guard !others.isEmpty else { return text }
    return text + ", which version \(others.joined(separator: " or ")) takes"
  }
}

extension ServedModel {
  /// Rows of an input of this model: texts, or a first dimension with all others multiplying to the model's
  /// inputs. nil where it is none, or the version is not ready.
  fileprivate func rows(of input: InputPart) -> Int? {
    guard let plan else { return nil }
    if input.dtype == .utf8 { return features != nil && !input.lengths.isEmpty ? input.lengths.count : nil }
    guard input.dtype == description.inputType, input.shape.count >= 2, let first = input.shape.first else {
      return nil
    }
    // From the bytes that are there: a shape with a zero in it may have any first dimension.
    let rowBytes = plan.inputs * input.dtype.byteCount
    let rows = input.byteCount / rowBytes
    return rows > 0 && first == UInt64(rows) && input.byteCount == rows * rowBytes ? rows : nil
  }
}
