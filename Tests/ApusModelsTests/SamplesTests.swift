import Foundation
import Testing

@testable import ApusModels

@Suite struct SamplesTests {
  private func json(_ text: String) throws -> Samples {
    try Array(text.utf8).withUnsafeBytes { try Samples(parsing: $0, isNPZ: false) }
  }

  /// A file of numpy.savez, which the fuzzer begins with too.
  private func npz(_ name: String) throws -> [UInt8] {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return Array(try Data(contentsOf: tests.appending(path: "Fuzz/corpus/platform/\(name)")).dropFirst())
  }

  private func reason(_ bytes: [UInt8]) -> String? {
    do throws(ModelError) {
      _ = try bytes.withBytesForTests { (bytes) throws(ModelError) in
        try Samples(parsing: bytes, isNPZ: true)
      }
      return nil
    } catch { return error.description }
  }

  @Test func bothFormsAreRead() throws {
    let text = try json(
      #"{"inputs":[[1,2],[3,4]],"scores":[[1,0,2],[5,1,1]],"classes":[2,0],"tolerance":0.5}"#)
    #expect(text.rows == 2 && text.questions == .inputs([1, 2, 3, 4], width: 2) && text.expectedWidth == 3)
    #expect(text.scores == [1, 0, 2, 5, 1, 1] && text.classes == [2, 0] && text.tolerance == 0.5)
    let array = try npz("samples-npz").withUnsafeBytes { try Samples(parsing: $0, isNPZ: true) }
    #expect(array.questions == .inputs([1, 2, 3, 4], width: 2))
    #expect(array.classes == [0, 1] && array.tolerance == 0.5 && array.expectedWidth == 0)
    let texts = try json(#"{"texts":["a","b"],"classes":[0,1]}"#)
    #expect(texts.questions == .texts(["a", "b"]) && texts.tolerance == Samples.defaultTolerance)
  }

  @Test(arguments: [
    "", "[]", "{}", #"{"inputs":[[1]]}"#, #"{"inputs":[],"classes":[]}"#, #"{"inputs":[[]],"classes":[0]}"#,
    #"{"inputs":[[1],[1,2]],"classes":[0,0]}"#, #"{"inputs":[[1]],"classes":[0,0]}"#,
    #"{"inputs":[[1]],"classes":[-1]}"#, #"{"inputs":[[1]],"classes":[0.5]}"#,
    #"{"inputs":[[1]],"classes":[1e300]}"#, #"{"inputs":[[1e300]],"classes":[0]}"#,
    #"{"inputs":[["1"]],"classes":[0]}"#, #"{"texts":[1],"classes":[0]}"#, #"{"texts":[],"classes":[]}"#,
    #"{"texts":["a"],"inputs":[[1]],"classes":[0]}"#, #"{"inputs":[[1]],"classes":[0],"tolerance":-1}"#,
    #"{"inputs":[[1]],"probabilities":[[1]],"scores":[[1,2]]}"#, #"{"inputs":[[1]],"probabilities":[[]]}"#,
    #"{"inputs":[[1]],"classes":[0],"other":1}"#, #"{"inputs":[[[1]]],"classes":[0]}"#,
  ])
  func hostileTextsAreRefused(_ text: String) {
    #expect(throws: ModelError.self) { try json(text) }
  }

  @Test func limitsHold() {
    let rows = Samples.maximumRows + 1
    let list = repeatElement("0", count: rows).joined(separator: ",")
    let texts = repeatElement("\"\"", count: rows).joined(separator: ",")
    #expect(throws: ModelError.self) { try json("{\"texts\":[\(texts)],\"classes\":[\(list)]}") }
    let long = [UInt8](repeating: 0x20, count: Samples.maximumBytes + 1)
    #expect(reason(long)?.contains("at most 16777216") == true)
  }

  @Test func brokenArchivesAreRefused() throws {
    let whole = try npz("samples-npz")
    #expect(reason(whole) == nil)
    for count in 0..<whole.count { #expect(reason(Array(whole[..<count])) != nil, "\(count) bytes") }
    let compressed = reason(try npz("samples-npz-compressed"))
    #expect(compressed?.contains("write it with numpy.savez, not savez_compressed") == true)
    #expect(reason(try npz("samples-npz-texts"))?.contains("cannot hold texts") == true)
  }

  @Test func theFirstDifferenceIsNamed() throws {
    let samples = try json(
      #"{"inputs":[[1],[2]],"probabilities":[[0.25,0.75],[0.5,0.5]],"classes":[1,0],"tolerance":0.01}"#)
    try samples.check(probabilities: [0.255, 0.745, 0.5, 0.5], scores: [0, 0, 0, 0], classes: 2)
    #expect {
      try samples.check(probabilities: [0.25, 0.75, 0.5, 0.625], scores: [0, 0, 0, 0], classes: 2)
    } throws: {
      "\($0)" == "samples, row 1, class 1: the probability is 0.625, not 0.5; they differ by 0.125, "
        + "the tolerance is 0.01"
    }
    #expect(throws: ModelError.self) {
      try samples.check(probabilities: [.nan, 0.75, 0.5, 0.5], scores: [0, 0, 0, 0], classes: 2)
    }
    #expect(throws: ModelError.self) { try samples.check(probabilities: [], scores: [], classes: 2) }
  }

  @Test(arguments: [
    (#"{"inputs":[[1]],"classes":[0]}"#, "the model takes 100"),
    (#"{"texts":["a"],"classes":[0]}"#, "has no features"), ("x", "samples.json"),
  ])
  func aVersionWithSamplesThatDoNotFitFails(_ text: String, _ reason: String) throws {
    let repository = try TemporaryRepository()
    try repository.copy("text_classifier/text_classifier.pth", to: "m/1/model.pth")
    try repository.write("m/1/samples.json", text)
    #expect(try repository.load()[0].reason?.contains(reason) == true)
  }

  @Test func samplesAreNoModelFile() throws {
    let repository = try TemporaryRepository()
    try repository.copy("text_classifier/text_classifier.pth", to: "m/1/model.pth")
    try repository.write("m/1/samples.npz", Data(try npz("samples-npz")))
    #expect(try repository.load()[0].reason == "samples have 2 numbers a row but the model takes 100")
  }
}

@Suite struct DriftReferenceTests {
  @Test func theIndexIsThatOfAKnownExample() {
    // 0.1 × ln 1.2 + 0.1 × ln 1.25, by hand 0.0405465.
    let index = populationStabilityIndex(expected: [0.5, 0.5], actual: [0.6, 0.4])
    #expect(abs(index - 0.040546510810816) < 1e-12)
    #expect(populationStabilityIndex(expected: [0.5, 0.5], actual: [0.5, 0.5]) == 0)
    // (1 - 1e-4) × ln 1e4, twice.
    let far = populationStabilityIndex(expected: [1, 0], actual: [0, 1])
    #expect(abs(far - 2 * 0.9999 * 9.210340371976184) < 1e-9)
  }

  @Test func binsAreBetweenDecilesAndEqualEdgesAreOne() throws {
    let values: [Float] = (0..<20).flatMap { (row: Int) -> [Float] in [Float(row), 7] }
    let samples = Samples(rows: 20, questions: .inputs(values, width: 2))
    let predicted = (0..<20).map { $0 < 5 ? 1 : 0 }
    let reference = try #require(DriftReference(samples, predicted: predicted, classes: 3))
    #expect(reference.classes == [0.75, 0.25, 0])
    #expect(reference.inputs[0].edges == [2, 4, 6, 8, 10, 12, 14, 16, 18])
    #expect(reference.inputs[0].shares == [Double](repeating: 0.1, count: 10))
    #expect(reference.inputs[1].edges == [7] && reference.inputs[1].shares == [0, 1])
    #expect([-1, 1.5, 2, 17.9, 99].map { reference.inputs[0].bin(of: $0) } == [0, 0, 1, 8, 9])
  }

  @Test func tooFewOrTooWideSamplesGiveNone() {
    let few = Samples(rows: 9, questions: .texts([String](repeating: "", count: 9)))
    #expect(DriftReference(few, predicted: [Int](repeating: 0, count: 9), classes: 1) == nil)
    let width = DriftReference.maximumWidth + 1
    let wide = Samples(
      rows: 10, questions: .inputs([Float](repeating: 0, count: 10 * width), width: width))
    #expect(DriftReference(wide, predicted: [Int](repeating: 0, count: 10), classes: 1) == nil)
  }
}

extension [UInt8] {
  fileprivate func withBytesForTests<Value>(
    _ body: (UnsafeRawBufferPointer) throws(ModelError) -> Value
  ) throws(ModelError) -> Value {
    let result: Result<Value, ModelError> = withUnsafeBytes { bytes in
      do throws(ModelError) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}
