/// A way to compute y = W x + b for some rows. No single one is the quickest for all shapes and batches.
package enum Kernel: UInt8, Sendable, CaseIterable {
  /// Our own product, over weights that are packed once, with bias and activation in its registers.
  case packed
  /// One matrix-vector product a row, weights [outputs, inputs]: a dot product for each output.
  case sgemv
  /// One matrix-vector product a row, weights [inputs, outputs]: a scaled addition for each input.
  case sgemvTransposed
  /// One matrix product, weights [inputs, outputs].
  case sgemmTransposed
  /// One matrix product, weights [outputs, inputs].
  case sgemm

  /// How the weights lie that a kernel reads.
  enum Layout: CaseIterable {
    case packed
    /// [outputs, inputs], row by row.
    case byOutput
    /// [inputs, outputs].
    case byInput
  }

  var layout: Layout {
    switch self {
    case .packed: .packed
    case .sgemv, .sgemm: .byOutput
    case .sgemvTransposed, .sgemmTransposed: .byInput
    }
  }

  var name: String {
    switch self {
    case .packed: "packed"
    case .sgemv: "sgemv"
    case .sgemvTransposed: "sgemvTransposed"
    case .sgemmTransposed: "sgemmTransposed"
    case .sgemm: "sgemm"
    }
  }

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

/// How a plan comes to its kernels.
package enum Planning: Sendable {
  /// Each candidate is timed, within a bound, and the quickest is kept.
  case measured
  /// This kernel for every layer and batch size, so that results are the same from run to run.
  case fixed(Kernel)

  var candidates: [Kernel] {
    switch self {
    case .measured: Kernel.allCases
    case .fixed(let kernel): [kernel]
    }
  }
}
