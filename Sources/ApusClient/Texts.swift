/// Calls whose input is texts, for models whose manifest says how to make numbers of them.
extension SynchronousClient {
  /// Classifies texts, a row each. The call's shape and element type are not used.
  ///
  /// - Throws: as `classify` of numbers; `invalidInput` for no text at all.
  public func classify(
    texts: [String], _ call: ClassifyCall, into result: inout ClassifyResult
  ) throws(ClientError) {
    let call = try call.holding(texts)
    let bytes = utf8(texts)
    let outcome = bytes.withUnsafeBytes { bytes -> ClientError? in
      do throws(ClientError) { try classify(bytes: bytes, call, into: &result) } catch { return error }
      return nil
    }
    if let outcome { throw outcome }
  }

  /// Classifies one text.
  ///
  /// - Parameters:
  ///   - model: name of the model.
  ///   - text: what to classify.
  ///   - top: how many classes to answer, the likeliest first; 0: every class, in index order.
  public func classify(_ model: String, text: String, top: Int = 0) throws(ClientError) -> ClassifyResult {
    var call = ClassifyCall(model, top: top)
    call.wantLabels = true
    var result = ClassifyResult()
    try classify(texts: [text], call, into: &result)
    return result
  }
}

extension ApusClient {
  /// Classifies texts, a row each. The call's shape and element type are not used.
  public func classify(texts: [String], _ call: ClassifyCall) async throws(ClientError) -> ClassifyResult {
    try await classify(bytes: utf8(texts), try call.holding(texts))
  }

  /// Classifies one text.
  ///
  /// - Parameters:
  ///   - model: name of the model.
  ///   - text: what to classify.
  ///   - top: how many classes to answer, the likeliest first; 0: every class, in index order.
  ///   - timeout: how long to wait for the answer.
  public func classify(
    _ model: String, text: String, top: Int = 0, timeout: Duration? = nil
  ) async throws(ClientError) -> ClassifyResult {
    var call = ClassifyCall(model, top: top)
    call.wantLabels = true
    if let timeout { call.timeoutNanoseconds = timeout.wholeNanoseconds }
    return try await classify(texts: [text], call)
  }
}

private func utf8(_ texts: [String]) -> [UInt8] {
  var bytes: [UInt8] = []
  bytes.reserveCapacity(texts.reduce(0) { $0 + $1.utf8.count })
  for text in texts { bytes += text.utf8 }
  return bytes
}
