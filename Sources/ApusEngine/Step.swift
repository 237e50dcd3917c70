/// A way to compute y = W x + b for some rows. No single one is the quickest for all shapes and batches.
package enum Kernel: UInt8, Sendable, CaseIterable {
  /// One matrix-vector product a row, weights as stored: a dot product for each output.
  case sgemv
  /// One matrix-vector product a row, weights transposed: a scaled addition for each input.
  case sgemvTransposed
  /// One matrix product, weights transposed.
  case sgemmTransposed
  /// One matrix product, weights as stored.
  case sgemm

  var usesTransposed: Bool { self == .sgemvTransposed || self == .sgemmTransposed }
  var isPerRow: Bool { self == .sgemv || self == .sgemvTransposed }
}

/// Batch sizes are sorted into buckets 1, 2, 4 ... 128; rows between two take the larger one's kernel.
enum Bucket {
  static let count = 8
  static let largestRows = 128

  /// - Parameter rows: 1 to `largestRows`.
  @inline(__always)
  static func index(rows: Int) -> Int { Int.bitWidth - (rows - 1).leadingZeroBitCount }

  static func rows(index: Int) -> Int { 1 << index }
}

/// One layer, ready to compute: a trivial value that lies in a plan's table.
///
/// Invariant: the pointers cover weights of [outputs, inputs], weights transposed to [inputs, outputs] and a
/// bias of [outputs], for as long as the plan lives; a layout is there when a kernel of `kernels` uses it.
struct Step {
  let inputs: Int
  let outputs: Int
  let activation: Activation
  var stored: UnsafePointer<Float>?
  var transposed: UnsafePointer<Float>?
  /// Zeros for a layer without bias.
  let bias: UnsafePointer<Float>
  /// By bucket.
  var kernels = InlineArray<8, Kernel>(repeating: .sgemv)

  /// y = W x + b for 1 to 128 rows. The bias is laid down first and BLAS adds to it: that costs what its own
  /// clearing of the output would.
  ///
  /// Invariant: `input` and `output` cover `rows` rows, their strides apart, and do not overlap.
  @inline(__always)
  func multiply(
    _ kernel: Kernel, rows: Int, input: UnsafePointer<Float>, inputStride: Int,
    output: UnsafeMutablePointer<Float>, outputStride: Int
  ) {
    for row in 0..<rows { (output + row * outputStride).update(from: bias, count: outputs) }
    guard inputs > 0, outputs > 0 else { return }
    let weights = (kernel.usesTransposed ? transposed : stored).unsafelyUnwrapped
    if kernel.isPerRow {
      for row in 0..<rows {
        sgemv(
          inputs: inputs, outputs: outputs, input: input + row * inputStride, weights: weights,
          areTransposed: kernel.usesTransposed, output: output + row * outputStride)
      }
    } else {
      sgemm(
        rows: rows, inputs: inputs, outputs: outputs, input: input, inputStride: inputStride,
        weights: weights, areTransposed: kernel.usesTransposed, output: output, outputStride: outputStride)
    }
  }
}
