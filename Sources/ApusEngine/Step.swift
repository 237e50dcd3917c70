import ApusBase

/// A way to compute y = W x + b for a number of rows. No single one is the quickest for all shapes and batches.
package enum Kernel: UInt8, Sendable, CaseIterable {
  /// One matrix-vector product a row, weights as stored: a dot product for each output.
  case sgemv
  /// One matrix-vector product a row, weights transposed: a scaled addition for each input.
  case sgemvTransposed
  /// One matrix product, weights as stored.
  case sgemm
  /// One matrix product, weights transposed.
  case sgemmTransposed

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
/// Invariant: the pointers cover weights of [outputs, inputs], weights transposed to [inputs, outputs] and a bias
/// of [outputs], for as long as the plan lives; a layout is there when a kernel of `kernels` uses it.
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

  /// A copy of a row-major matrix with rows and columns exchanged, tile by tile so that both sides stay in cache.
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
}
