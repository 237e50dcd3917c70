import ApusBase

/// How a plan comes to its kernels.
package enum Planning: Sendable {
  /// Each candidate is timed, within a bound, and the quickest is kept.
  case measured
  /// This kernel for every layer and batch size, so that results are the same from run to run.
  case fixed(Kernel)

  var isMeasured: Bool {
    if case .measured = self { true } else { false }
  }

  var candidates: [Kernel] {
    switch self {
    case .measured: Kernel.allCases
    case .fixed(let kernel): [kernel]
    }
  }
}

/// What each candidate takes for a layer, in nanoseconds, for a full bucket of rows; infinite where it is not
/// a candidate.
package struct KernelCosts {
  private var costs: [[Double]]

  package init() {
    costs = Array(repeating: Array(repeating: .infinity, count: Bucket.count), count: Kernel.allCases.count)
  }

  package subscript(kernel: Kernel, bucket: Int) -> Double {
    get { costs[Int(kernel.rawValue)][bucket] }
    set { costs[Int(kernel.rawValue)][bucket] = newValue }
  }
}

// MARK: - Choosing

extension KernelCosts {
  /// A change of kernel must win more than this, or noise would decide.
  private static let changeGain = 1.1
  /// A second copy of the weights in memory must win more than this.
  private static let layoutGain = 1.2

  /// The kernel for each bucket. One layout of the weights is enough unless both are clearly worth their
  /// memory.
  package func choice(among candidates: [Kernel]) -> [Kernel] {
    let best = (0..<Bucket.count).map { bucket in candidates.map { self[$0, bucket] }.min() ?? .infinity }
    for usesTransposed in [false, true] {
      let layout = candidates.filter { $0.usesTransposed == usesTransposed }
      guard !layout.isEmpty else { continue }
      let chosen = quickest(among: layout)
      if chosen.indices.allSatisfy({ self[chosen[$0], $0] <= Self.layoutGain * best[$0] }) { return chosen }
    }
    return quickest(among: candidates)
  }

  private func quickest(among candidates: [Kernel]) -> [Kernel] {
    var kept = candidates[0]
    return (0..<Bucket.count).map { bucket in
      for candidate in candidates where self[kept, bucket] > Self.changeGain * self[candidate, bucket] {
        kept = candidate
      }
      return kept
    }
  }
}

// MARK: - Measuring

/// Times the kernels of one layer. What there is no time or memory to time is estimated.
struct Planner: ~Copyable {
  /// Most time for all layers of a plan together; small layers take far less.
  static let budgetNanoseconds: UInt64 = 250_000_000
  /// Most floats of input and output in a measurement.
  private static let mostFloats = 1 << 20
  /// A call below so many nanoseconds is timed without a thought.
  private static let cheap = 50_000.0

  private let step: Step
  private let deadline: Instant
  private let input: AlignedBuffer
  private let output: AlignedBuffer
  private let mostRows: Int

  init(_ step: Step, deadline: Instant) {
    self.step = step
    self.deadline = deadline
    mostRows = max(1, min(Bucket.largestRows, Self.mostFloats / max(1, step.inputs + step.outputs)))
    input = AlignedBuffer(byteCount: mostRows * step.inputs * MemoryLayout<Float>.stride)
    output = AlignedBuffer(byteCount: mostRows * step.outputs * MemoryLayout<Float>.stride)
    let floats = input.floats
    for index in 0..<(mostRows * step.inputs) { floats[index] = Float(index & 15) * 0.125 - 1 }
  }

  func costs(of candidates: [Kernel]) -> KernelCosts {
    var costs = KernelCosts()
    for kernel in candidates {
      for bucket in 0..<Bucket.count {
        let rows = Bucket.rows(index: bucket)
        var expected = prior(kernel, rows: rows)
        if bucket > 0 { expected *= costs[kernel, bucket - 1] / prior(kernel, rows: rows / 2) }
        // A kernel that goes row by row needs no second measurement, one that is far behind none at all.
        let best = candidates.map { costs[$0, bucket] }.min() ?? .infinity
        let isKnown = bucket > 0 && (kernel.isPerRow || expected > max(Self.cheap, 1.5 * best))
        if isKnown || rows > mostRows || !fits(expected) {
          costs[kernel, bucket] = expected
        } else {
          costs[kernel, bucket] = nanoseconds {
            step.multiply(
              kernel, rows: rows, input: input.floats, inputStride: step.inputs, output: output.floats,
              outputStride: step.outputs)
          }
        }
      }
    }
    return costs
  }

  /// Nanoseconds that the layer's activation takes for a row.
  func activationCost() -> Double {
    guard step.activation != .none else { return 0 }
    let rows = min(mostRows, 8)
    return nanoseconds {
      step.activation.apply(output.floats, stride: step.outputs, rows: rows, columns: step.outputs)
    } / Double(rows)
  }

  /// Nanoseconds that turning a row of this layer's outputs into probabilities takes.
  func headCost(_ head: OutputActivation) -> Double {
    nanoseconds {
      head.apply(
        logits: output.floats, logitsStride: step.outputs, rows: 1, columns: step.outputs,
        output: output.floats, outputStride: step.outputs)
    }
  }

  /// A guess in nanoseconds, for what is not timed: the shape of what a 1024 × 1024 layer took by OpenBLAS
  /// 0.3.21 on a Zen 4, where sgemm packs the weights on every call and so costs much for the first row.
  private func prior(_ kernel: Kernel, rows: Int) -> Double {
    let rows = Double(rows)
    let products = Double(step.inputs) * Double(step.outputs)
    switch kernel {
    case .sgemv, .sgemvTransposed: return (40 + products * 0.05) * rows
    case .sgemmTransposed: return 40 + products * (0.2 + 0.02 * rows)
    case .sgemm: return 40 + products * (0.65 + 0.02 * rows)
    }
  }

  /// Whether two calls of so many nanoseconds end before the deadline.
  private func fits(_ nanoseconds: Double) -> Bool {
    2 * nanoseconds <= Double(deadline.since(.now))
  }

  /// The quickest of a few runs: others on the machine only ever slow a run down.
  private func nanoseconds(_ body: () -> Void) -> Double {
    let shortestRun = 2_000.0
    let first = Self.time(1, body)
    let calls = max(1, min(64, Int(shortestRun / max(first, 1))))
    let runs = first < Self.cheap ? 5 : first < 20 * Self.cheap ? 2 : 0
    var best = calls == 1 ? first : .infinity
    for _ in 0..<runs { best = min(best, Self.time(calls, body)) }
    return best
  }

  private static func time(_ calls: Int, _ body: () -> Void) -> Double {
    let start = Instant.now
    for _ in 0..<calls { body() }
    return Double(Instant.now.since(start)) / Double(calls)
  }
}
