import CApusKernels
import Glibc

/// Softmax and its logarithm along the last dimension.
struct SoftmaxKernel: StepKernel {
  private let isLogarithm: Bool
  private let columns: Int
  private let count: Extent

  init?(_ softmax: SoftmaxOperator, _ types: KernelTypes) {
    guard let shape = types.inputs[0]?.shape, let last = shape.last, !last.isPerRow, last.count > 0,
      softmax.axis == -1 || softmax.axis == shape.count - 1
    else { return nil }
    isLogarithm = softmax.isLogarithm
    columns = last.count
    let all = types.outputCount
    count = Extent(all.count / columns, isPerRow: all.isPerRow)
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    let count = count.resolved(rows: rows)
    if isLogarithm {
      apus_log_softmax(count, columns, input, columns, run.output, columns)
    } else {
      apus_softmax(count, columns, input, columns, run.output, columns)
    }
  }

  var description: String { isLogarithm ? "LogSoftmax" : "Softmax" }
}

/// Layer normalization over the last dimension.
struct LayerNormKernel: StepKernel {
  private let columns: Int
  private let count: Extent
  private let epsilon: Float
  private let hasBias: Bool

  init?(_ norm: LayerNormalization, _ types: KernelTypes) {
    guard norm.isCentered, norm.outputs == 1, let shape = types.inputs[0]?.shape, let last = shape.last,
      !last.isPerRow, last.count > 0, norm.axis == -1 || norm.axis == shape.count - 1,
      types.inputs[1]?.shape == [last]
    else { return nil }
    let bias = types.inputs.count > 2 ? types.inputs[2] : nil
    guard bias == nil || bias?.shape == [last] else { return nil }
    columns = last.count
    let all = types.outputCount
    count = Extent(all.count / columns, isPerRow: all.isPerRow)
    epsilon = norm.epsilon
    hasBias = bias != nil
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0), let scale = run.floats(1) else { return }
    apus_layer_norm(
      count.resolved(rows: rows), columns, input, columns, epsilon, scale, hasBias ? run.floats(2) : nil,
      run.output, columns)
  }

  var description: String { "LayerNormalization" }
}

/// The same elements in another shape.
struct CopyKernel: StepKernel {
  private let bytes: Extent

  init(_ types: KernelTypes) {
    let count = types.outputCount
    bytes = Extent(count.count * types.outputs[0].element.byteCount, isPerRow: count.isPerRow)
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0) else { return }
    memcpy(run.output, input, bytes.resolved(rows: rows))
  }

  var description: String { "Copy" }
}
