import Testing

@testable import ApusServer

@Suite struct NameTableTests {
  @Test(arguments: [0, 1, 2, 3, 500, 5000])
  func eachNameIsFoundAndNoOther(_ count: Int) {
    let names = (0..<count).map { Array("model-\($0)".utf8) }
    let table = NameTable(names)
    for (place, name) in names.enumerated() {
      #expect(name.withUnsafeBytes { table.place(of: $0) } == place)
    }
    for other in ["", "model-", "model-\(count)", "Model-0", "model-0 ", "model-01"] {
      #expect(Array(other.utf8).withUnsafeBytes { table.place(of: $0) } == nil, "\(other)")
    }
  }
}
