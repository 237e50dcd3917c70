import ApusBase
import ApusEngine
import ApusFeatures
import ApusWire

/// Where the rows of a matrix are answered: all in the body of one answer, or each in the body of its own.
struct AnswerPlaces {
  let form: AnswerForm
  /// The first body.
  let bodies: UnsafeMutableRawPointer
  /// From one body to the next; 0: all rows are in the first.
  let stride: Int

  func body(of row: Int) -> UnsafeMutableRawPointer { bodies + row * stride }
  func rowInBody(_ row: Int) -> Int { stride == 0 ? row : 0 }
}

/// From rows of inputs to what answers say of them.
///
/// Invariant of the unsafe code here: the inputs cover what their rows and stride say, the bodies what the
/// form says, and this has room for the plan.
extension ModelBuffers {
  /// Fills what the answers say of `rows` inputs: the call's `firstRow` and those behind it.
  ///
  /// - Throws: `GraphError` for numbers that the model does not allow.
  func answerRows(
    _ input: UnsafeRawPointer, stride: Int, rows: Int, from firstRow: Int, _ plan: Plan,
    _ places: AnswerPlaces
  ) throws(GraphError) {
    if places.form.hasIndices || places.form.hasScores {
      return try answerParts(input, stride: stride, rows: rows, from: firstRow, plan, places)
    }
    let probabilities = places.bodies.assumingMemoryBound(to: Float.self) + firstRow * plan.outputs
    let outputStride = places.stride == 0 ? plan.outputs : places.stride / 4
    try plan.logits(
      input: input, inputStride: stride, rows: rows, output: probabilities, outputStride: outputStride,
      workspace: workspace.baseAddress)
    plan.probabilities(
      logits: probabilities, logitsStride: outputStride, rows: rows, output: probabilities,
      outputStride: outputStride)
  }

  /// Scores, probabilities and the best classes, where an answer is more than its probabilities in index
  /// order.
  private func answerParts(
    _ input: UnsafeRawPointer, stride: Int, rows: Int, from firstRow: Int, _ plan: Plan,
    _ places: AnswerPlaces
  ) throws(GraphError) {
    var done = 0
    while done < rows {
      let count = min(plan.blockRows, rows - done)
      try plan.logits(
        input: input + done * stride * plan.inputElement.byteCount, inputStride: stride, rows: count,
        output: scratch.floats, outputStride: plan.outputs, workspace: workspace.baseAddress)
      for row in 0..<count {
        let whole = firstRow + done + row
        answerRow(
          scratch.floats + row * plan.outputs, plan, places.form, row: places.rowInBody(whole),
          places.body(of: whole))
      }
      done += count
    }
  }

  /// Fills what an answer says of one row, whose scores become its probabilities.
  func answerRow(
    _ scores: UnsafeMutablePointer<Float>, _ plan: Plan, _ form: AnswerForm, row: Int,
    _ body: UnsafeMutableRawPointer
  ) {
    let classes = plan.outputs
    if form.hasScores {
      (body + form.scoresOffset + row * classes * 4).copyMemory(from: scores, byteCount: classes * 4)
    }
    plan.probabilities(
      logits: scores, logitsStride: classes, rows: 1, output: scores, outputStride: classes)
    let kept = (body + row * form.classes * 4).assumingMemoryBound(to: Float.self)
    if form.hasIndices {
      let indices = (body + form.indicesOffset + row * form.classes * 4).assumingMemoryBound(to: UInt32.self)
      selectBest(scores, count: classes, into: kept, indices, most: form.classes)
    } else {
      kept.update(from: scores, count: classes)
    }
  }

  /// Makes rows of texts, block by block, and gives each block to `answer` with the number of its first row.
  ///
  /// - Parameters:
  ///   - texts: all of them, one behind the other.
  ///   - ends: where each ends.
  func withRows<Failure: Error>(
    of texts: UnsafeRawPointer, ends: UnsafePointer<UInt32>, count rows: Int, _ plan: Plan,
    _ features: HashingFeatures, _ answer: (UnsafeRawPointer, Int, Int) throws(Failure) -> Void
  ) throws(Failure) {
    let most = TextRows.blockRows(plan)
    var first = 0
    var start = 0
    while first < rows {
      let count = min(most, rows - first)
      for row in 0..<count {
        let end = Int(ends[first + row])
        let text = UnsafeRawBufferPointer(start: texts + start, count: end - start)
        let vector = self.texts.floats + row * plan.inputs
        _ = features.vector(of: text, into: vector, scratch: self.texts.scratch)
        start = end
      }
      try answer(UnsafeRawPointer(self.texts.floats), count, first)
      first += count
    }
  }
}
