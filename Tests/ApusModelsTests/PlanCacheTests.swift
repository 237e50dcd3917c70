import ApusEngine
import ApusModels
import Foundation
import Testing

@Suite struct PlanCacheTests {
  private func costs(_ inputs: Int) -> MeasuredCosts {
    var costs = KernelCosts()
    for bucket in 0..<8 { costs[.packed, bucket] = 100 }
    var measured = MeasuredCosts()
    measured[LayerShape(inputs: inputs, outputs: 3)] = costs
    return measured
  }

  private func files(_ folder: URL) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
  }

  @Test func whatOneStartMeasuredTheNextKnows() throws {
    let repository = try TemporaryRepository()
    let folder = repository.folder.appending(path: "a/b")
    let first = PlanCache(folder: folder.path)
    #expect(first.costs.layers.isEmpty)
    first.keep(costs(4))
    first.keep(costs(5))
    #expect(PlanCache(folder: folder.path).costs == first.costs && first.costs.layers.count == 2)
    #expect(try files(folder).count == 1, "the file alone, nothing beside it")
  }

  @Test func timesOfAnotherMachineAreNotRead() throws {
    let folder = try TemporaryRepository().folder
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    PlanCache(folder: folder.path).keep(costs(4))
    let file = try #require(try files(folder).first)
    let text = try String(contentsOf: file, encoding: .utf8)
    try ("another machine" + text.drop { $0 != "\n" }).write(to: file, atomically: true, encoding: .utf8)
    #expect(PlanCache(folder: folder.path).costs.layers.isEmpty)
    for broken in ["", "\n", String(text.prefix(20)), "\u{0}\u{ff}"] {
      try broken.write(to: file, atomically: true, encoding: .utf8)
      #expect(PlanCache(folder: folder.path).costs.layers.isEmpty)
    }
    try FileManager.default.removeItem(at: folder)
  }

  @Test func withoutAPlaceTimesAreKeptInMemory() {
    for folder in [nil, "/proc/nowhere"] {
      let cache = PlanCache(folder: folder)
      cache.keep(costs(4))
      #expect(cache.costs.layers.count == 1)
    }
  }
}
