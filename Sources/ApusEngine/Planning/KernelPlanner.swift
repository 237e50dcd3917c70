import ApusBase

/// Chooses the kernels of a program's layers. What there is no time or memory to time is estimated.
package final class KernelPlanner {
  let planning: Planning
  /// Of all layers that were planned, and those that were known before.
  package private(set) var costs: MeasuredCosts
  private let deadline: Instant

  /// Most time for all layers of a program together; small layers take far less.
  private static let budgetNanoseconds: UInt64 = 250_000_000

  /// - Parameter known: what was measured before, on this processor with this OpenBLAS.
  package init(_ planning: Planning = .measured, known: MeasuredCosts = MeasuredCosts()) {
    self.planning = planning
    costs = known
    deadline = Instant.now.advanced(by: Self.budgetNanoseconds)
  }

  /// Whether weights may be packed 16 bits wide, for which there is one kernel alone.
  var allowsHalf: Bool { planning.candidates.contains(.packed) }

  /// The kernel of each bucket, and the weights in the layouts that these read.
  func plan(_ weights: LinearWeights) -> (kernels: [Kernel], weights: LinearWeights) {
    let chosen: [Kernel]
    var weights = weights
    switch planning {
    case .fixed(let kernel): chosen = Array(repeating: kernel, count: Bucket.count)
    case .measured:
      let shape = LayerShape(inputs: weights.inputs, outputs: weights.outputs)
      if costs[shape] == nil {
        weights = LayerTimer.laidOut(weights)
        costs[shape] = LayerTimer(weights, deadline: deadline).costs(of: planning.candidates)
      }
      chosen = (costs[shape] ?? KernelCosts()).choice(among: planning.candidates)
    }
    return (chosen, weights.with(Set(chosen.map(\.layout))).owned())
  }
}

extension KernelPlanner {
  /// What a program takes, as it was measured before or is now.
  func timing(of program: Program, head: OutputActivation) -> ProgramTiming {
    let key = ProgramTiming.key(of: program)
    // What a file says is believed no further than the program goes.
    if let known = costs[program: key], known.blockRows <= program.blockRows { return known }
    let timing = ProgramTiming(program, head: head)
    costs[program: key] = timing
    return timing
  }
}

/// Times the kernels of one layer, with a bias and a function of each sum, as most layers have.
private struct LayerTimer: ~Copyable {
  /// Most floats of input and output in a measurement.
  private static let mostFloats = 1 << 20
  /// Most weights of which a second layout is made to be timed.
  private static let mostTransposed = 4 << 20
  /// A call below so many nanoseconds is timed without a thought.
  private static let cheap = 1_000.0
  /// How many times as long as the quickest a kernel takes that is left out.
  private static let farBehind = 1.3
  /// Nanoseconds of a run, in as many calls as it takes, for a clock to tell two kernels apart.
  private static let shortestRun = 2_000.0
  private static let mostRounds = 3

  private let weights: LinearWeights
  private let deadline: Instant
  private let input: AlignedBuffer
  private let output: AlignedBuffer
  private let bias: AlignedBuffer
  private let mostRows: Int

  init(_ weights: LinearWeights, deadline: Instant) {
    self.weights = weights
    self.deadline = deadline
    mostRows = max(1, min(Bucket.largestRows, Self.mostFloats / max(1, weights.inputs + weights.outputs)))
    input = AlignedBuffer(byteCount: mostRows * weights.inputs * MemoryLayout<Float>.stride)
    output = AlignedBuffer(byteCount: mostRows * weights.outputs * MemoryLayout<Float>.stride)
    bias = AlignedBuffer(byteCount: weights.outputs * MemoryLayout<Float>.stride)
    let floats = input.floats
    for index in 0..<(mostRows * weights.inputs) { floats[index] = Float(index & 15) * 0.125 - 1 }
  }

  /// The layouts of which kernels are timed: all, but for a large layer no second one beside the packed.
  static func laidOut(_ weights: LinearWeights) -> LinearWeights {
    let isLarge = weights.inputs * weights.outputs > mostTransposed
    return weights.with(
      Set(Kernel.Layout.allCases.filter { !isLarge || $0 == .packed || weights.isThere($0) }))
  }

  func costs(of candidates: [Kernel]) -> KernelCosts {
    var costs = KernelCosts()
    for bucket in 0..<Bucket.count {
      for kernel in candidates { costs[kernel, bucket] = expectation(kernel, bucket, after: costs) }
      let best = candidates.map { costs[$0, bucket] }.min() ?? .infinity
      let timed = candidates.filter { kernel in
        guard weights.isThere(kernel.layout), Bucket.rows(index: bucket) <= mostRows else { return false }
        let cost = costs[kernel, bucket]
        // A kernel that goes row by row needs no second measurement, one that is far behind none at all.
        let isOpen = bucket == 0 || !kernel.isPerRow && cost <= max(Self.cheap, Self.farBehind * best)
        return isOpen && fits(cost)
      }
      time(timed, bucket, into: &costs)
    }
    return costs
  }

  /// What a kernel takes by what it took for half the rows.
  private func expectation(_ kernel: Kernel, _ bucket: Int, after costs: KernelCosts) -> Double {
    let rows = Bucket.rows(index: bucket)
    guard bucket > 0 else { return prior(kernel, rows: rows) }
    return costs[kernel, bucket - 1] * prior(kernel, rows: rows) / prior(kernel, rows: rows / 2)
  }

  /// A guess in nanoseconds, for what is not timed: the shape of what a 1024 × 1024 layer took by OpenBLAS
  /// 0.3.21 on a Zen 4, where sgemm packs the weights on every call and so costs much for the first row.
  private func prior(_ kernel: Kernel, rows: Int) -> Double {
    let rows = Double(rows)
    let products = Double(weights.inputs) * Double(weights.outputs)
    switch kernel {
    case .packed: return 20 + products * (0.03 + 0.02 * rows)
    case .sgemv, .sgemvTransposed: return (40 + products * 0.05) * rows
    case .sgemmTransposed: return 40 + products * (0.2 + 0.02 * rows)
    case .sgemm: return 40 + products * (0.65 + 0.02 * rows)
    }
  }

  /// Whether two calls of so many nanoseconds end before the deadline.
  private func fits(_ nanoseconds: Double) -> Bool { 2 * nanoseconds <= Double(deadline.since(.now)) }

  /// The quickest of a few runs: others on the machine only ever slow a run down. The kernels take turns, for
  /// what slows one down should slow them all.
  private func time(_ kernels: [Kernel], _ bucket: Int, into costs: inout KernelCosts) {
    for kernel in kernels { costs[kernel, bucket] = time(kernel, bucket, calls: 1) }
    for round in 0..<Self.mostRounds {
      for kernel in kernels {
        let known = costs[kernel, bucket]
        let rounds = known < 10_000 ? Self.mostRounds : known < 20_000 ? 2 : known < 200_000 ? 1 : 0
        guard round < rounds else { continue }
        let calls = max(1, min(64, Int(Self.shortestRun / max(known, 1))))
        costs[kernel, bucket] = min(known, time(kernel, bucket, calls: calls))
      }
    }
  }

  private func time(_ kernel: Kernel, _ bucket: Int, calls: Int) -> Double {
    Stopwatch.time(calls) {
      weights.multiply(
        kernel, rows: Bucket.rows(index: bucket), input: input.floats, inputStride: weights.inputs,
        bias: bias.floats, activation: .relu, output: output.floats, outputStride: weights.outputs)
    }
  }
}

enum Stopwatch {
  /// Nanoseconds of one of some calls.
  static func time(_ calls: Int, _ body: () -> Void) -> Double {
    let start = Instant.now
    for _ in 0..<calls { body() }
    return Double(Instant.now.since(start)) / Double(calls)
  }
}
