import ApusEngine
import Testing

@Suite struct MeasuredCostsTests {
  private func costs(_ first: Double) -> KernelCosts {
    var costs = KernelCosts()
    for bucket in 0..<8 {
      costs[.packed, bucket] = first * Double(bucket + 1)
      costs[.sgemm, bucket] = 1000
    }
    return costs
  }

  @Test func textKeepsCosts() {
    var measured = MeasuredCosts()
    measured[LayerShape(inputs: 64, outputs: 128)] = costs(10)
    measured[LayerShape(inputs: 4, outputs: 3)] = costs(7)
    let read = MeasuredCosts(text: Substring(measured.text))
    #expect(read == measured && read.layers.count == 2)
    #expect(measured.text.hasPrefix("4 3 7 14 21 28 35 42 49 56 - "))
  }

  @Test(arguments: [
    "", "\n\n", "64 128 1 2 3", "a b c", "64 128" + String(repeating: " -", count: 40), "program 1 8 1",
    "program x 8 1 1", "program 1 0 1 1", "program 1 8 nan 1", "program 1 8 1 -1", "program 1 8 1 1e99",
  ])
  func linesThatAreNoCostsAreLeftOut(_ text: String) {
    #expect(MeasuredCosts(text: Substring(text)).count == 0)
  }

  /// Nothing is measured at a second start: a measurement would not give the same times to the nanosecond.
  @Test func timesOfProgramsAreKept() throws {
    var generator = SeededGenerator(seed: 8)
    let network = try generator.network(
      widths: [64, 128, 10], activations: [.relu, .none], head: .softmax)
    let first = try Plan(Classifier(network))
    let known = MeasuredCosts(text: Substring(first.costs.text))
    let second = try Plan(Classifier(network), known: known)
    #expect(second.nanosecondsPerRow == first.nanosecondsPerRow && second.blockRows == first.blockRows)
    #expect(second.costs == known && known.count == 3)
  }

  @Test func whatIsKnownIsNotMeasured() throws {
    var generator = SeededGenerator(seed: 4)
    let network = try generator.network(
      widths: [64, 128, 10], activations: [.relu, .none], head: .softmax)
    let first = try Plan(Classifier(network))
    #expect(first.costs.layers.count == 2)
    // Costs that no measurement would give choose another kernel.
    var known = first.costs
    var slow = costs(1e9)
    for bucket in 0..<8 { slow[.sgemv, bucket] = 1 }
    known[LayerShape(inputs: 64, outputs: 128)] = slow
    let second = try Plan(Classifier(network), known: known)
    #expect(second.costs.layers == known.layers && second.choices[0].hasSuffix("relu, sgemv"))
  }
}
