import ApusEngine
import Foundation
import Testing

@Suite struct ONNXDocumentationTests {
  /// docs/models.md lists what a file may name.
  @Test func theDocumentedOperatorsAreThoseThatAreThere() throws {
    var root = URL(filePath: #filePath)
    for _ in 0..<4 { root.deleteLastPathComponent() }
    let page = try String(contentsOf: root.appending(path: "docs/models.md"), encoding: .utf8)
    let begin = try #require(page.range(of: "| family | operators |\n| --- | --- |\n")).upperBound
    let end = try #require(page.range(of: "\n\n", range: begin..<page.endIndex)).lowerBound
    let documented = page[begin..<end].split(separator: "\n").flatMap { line in
      line.split(separator: "|")[1].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let names = OperatorTable.standard.names.map { $0.replacing("ai.onnx.ml.", with: "") }
    #expect(Set(documented).symmetricDifference(names + ["Constant"]).sorted() == [])
    #expect(Set(documented).count == documented.count)
  }
}
