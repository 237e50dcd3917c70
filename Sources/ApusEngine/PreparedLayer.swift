import ApusBase

/// A layer with its weights laid out and its kernels chosen.
struct PreparedLayer {
  let step: Step
  /// What the step's pointers lead into.
  let buffers: [BufferOwner]
  let kernels: [Kernel]
  let costs: KernelCosts
  /// Nanoseconds a row of the activation, and of the head after the last layer.
  let rowCost: Double
  private let name: String

  /// - Parameters:
  ///   - head: what follows the network's last layer; nil for the others.
  ///   - knownCosts: those of a layer of this shape, if there was one.
  init(
    _ layer: Network.Layer, head: OutputActivation?, planning: Planning, knownCosts: KernelCosts?,
    deadline: Instant
  ) {
    let stored = BufferOwner(layer.weights)
    let transposed = BufferOwner(transposing: layer.weights, rows: layer.outputs, columns: layer.inputs)
    let bias = layer.bias.isEmpty ? BufferOwner(floatCount: layer.outputs) : BufferOwner(layer.bias)
    var step = Step(
      inputs: layer.inputs, outputs: layer.outputs, activation: layer.activation, stored: stored.floats,
      transposed: transposed.floats, bias: bias.floats)
    let planner = Planner(step, deadline: deadline)
    costs = knownCosts ?? planner.costs(of: planning.candidates)
    kernels = costs.choice(among: planning.candidates)
    let headCost = if let head { planner.headCost(head) } else { 0.0 }
    rowCost = planner.activationCost() + headCost
    name = layer.name

    // A layout that no kernel reads is let go, its pointer with it.
    for bucket in kernels.indices { step.kernels[bucket] = kernels[bucket] }
    var buffers = [bias]
    if kernels.contains(where: \.usesTransposed) { buffers.append(transposed) } else { step.transposed = nil }
    if kernels.contains(where: { !$0.usesTransposed }) { buffers.append(stored) } else { step.stored = nil }
    self.buffers = buffers
    self.step = step
  }

  /// Nanoseconds of the chosen kernel for a full bucket, without activation.
  func cost(bucket: Int) -> Double { costs[kernels[bucket], bucket] }

  /// For example `0, 64 -> 128: rows 1-128 sgemmTransposed; 1 row 0.2 µs, 128 rows 21.0 µs`.
  var description: String {
    var runs: [String] = []
    var first = 0
    for bucket in kernels.indices {
      if bucket + 1 < kernels.count && kernels[bucket + 1] == kernels[bucket] { continue }
      let from = first == 0 ? 1 : Bucket.rows(index: first - 1) + 1
      let to = Bucket.rows(index: bucket)
      runs.append("\(from == to ? "row \(to)" : "rows \(from)-\(to)") \(kernels[bucket])")
      first = bucket + 1
    }
    func microseconds(_ bucket: Int) -> Double { (cost(bucket: bucket) / 10).rounded() / 100 }
    let last = Bucket.count - 1
    return "\(name), \(step.inputs) -> \(step.outputs): \(runs.joined(separator: ", ")); "
      + "1 row \(microseconds(0)) µs, \(Bucket.rows(index: last)) rows \(microseconds(last)) µs"
  }
}

/// Keeps a buffer alive for a plan: an array may not hold noncopyable values.
final class BufferOwner: Sendable {
  private let buffer: AlignedBuffer

  /// Zeroed memory for at least one float.
  init(floatCount: Int) { buffer = AlignedBuffer(byteCount: floatCount * MemoryLayout<Float>.stride) }

  /// A copy.
  convenience init(_ values: [Float]) {
    self.init(floatCount: values.count)
    values.withUnsafeBufferPointer { values in
      if let source = values.baseAddress { floats.update(from: source, count: values.count) }
    }
  }

  /// A copy of a row-major matrix with rows and columns exchanged, tile by tile so that both sides stay in
  /// cache.
  convenience init(transposing values: [Float], rows: Int, columns: Int) {
    self.init(floatCount: values.count)
    let tile = 32
    let target = floats
    values.withUnsafeBufferPointer { values in
      for firstRow in stride(from: 0, to: rows, by: tile) {
        for firstColumn in stride(from: 0, to: columns, by: tile) {
          for row in firstRow..<min(firstRow + tile, rows) {
            for column in firstColumn..<min(firstColumn + tile, columns) {
              target[column * rows + row] = values[row * columns + column]
            }
          }
        }
      }
    }
  }

  var floats: UnsafeMutablePointer<Float> { buffer.floats }

  var byteCount: Int { buffer.bytes.count }
}
