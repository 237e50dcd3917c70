import CApusKernels
import Testing
import WideKernels

/// All tests of kernels, one at a time, as they set the level that the whole process computes with.
@Suite(.serialized) struct KernelTests {}

/// Kernels to compare with a reference: each level that this machine has, and the source of AVX-512's level
/// compiled for narrower registers.
enum TestedLevel: CaseIterable, CustomTestStringConvertible {
  case portable, avx2, avx512, wide

  static let best: apus_level = {
    apus_kernels_limit(apus_level_avx512, true)
    return apus_kernels_level()
  }()

  static var available: [TestedLevel] {
    allCases.filter { level in level.limit.map { $0.rawValue <= best.rawValue } ?? true }
  }

  private var limit: apus_level? {
    switch self {
    case .portable: apus_level_portable
    case .avx2: apus_level_avx2
    case .avx512: apus_level_avx512
    case .wide: nil
    }
  }

  var testDescription: String { "\(self)" }

  /// Runs `body` with this level's kernels.
  func run(_ body: () -> Void) {
    if let limit { apus_kernels_limit(limit, true) } else { use_wide_kernels() }
    body()
    apus_kernels_limit(apus_level_avx512, true)
  }
}

/// SplitMix64: the same numbers for the same seed on every machine.
struct Random: RandomNumberGenerator {
  private var state: UInt64
  init(seed: Int) { state = UInt64(seed) }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func integer(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
  mutating func flag() -> Bool { Bool.random(using: &self) }
  mutating func floats(_ count: Int, _ range: ClosedRange<Float> = -1...1) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }
}

/// Rows of floats a stride apart, with guards before, between and behind, that show what was written beside
/// them.
final class GuardedRows {
  let rows: Int
  let columns: Int
  let stride: Int
  private let memory: UnsafeMutableBufferPointer<Float>
  private static let guardFloats = 32
  private static let pattern: UInt32 = 0xcdcd_cdcd

  init(rows: Int = 1, columns: Int, stride: Int? = nil) {
    self.rows = rows
    self.columns = columns
    self.stride = stride ?? columns
    memory = .allocate(capacity: rows * self.stride + 2 * Self.guardFloats)
    memory.initialize(repeating: Float(bitPattern: Self.pattern))
  }

  convenience init(_ values: [Float], rows: Int = 1, stride: Int? = nil) {
    self.init(rows: rows, columns: values.count / max(1, rows), stride: stride)
    for row in 0..<rows { for column in 0..<columns { self[row, column] = values[row * columns + column] } }
  }

  deinit { memory.deallocate() }

  var start: UnsafeMutablePointer<Float> { memory.baseAddress.unsafelyUnwrapped + Self.guardFloats }

  subscript(row: Int, column: Int) -> Float {
    get { start[row * stride + column] }
    set { start[row * stride + column] = newValue }
  }

  func row(_ index: Int) -> [Float] { (0..<columns).map { self[index, $0] } }
  var bitPatterns: [UInt32] { (0..<rows).flatMap { row($0).map(\.bitPattern) } }

  /// Whether all values are NaN.
  var isNaN: Bool { (0..<rows).allSatisfy { row in self.row(row).allSatisfy { $0.isNaN } } }

  /// Whether nothing but the rows was written.
  var guardsAreWhole: Bool {
    memory.indices.allSatisfy { index in
      let place = index - Self.guardFloats
      let isInRow = place >= 0 && place < rows * stride && place % stride < columns
      return isInRow || memory[index].bitPattern == Self.pattern
    }
  }
}

/// How far `value` is from `exact`, in units of the last place of `exact` as a float.
func unitsInLastPlace(_ value: Float, _ exact: Double) -> Double {
  let rounded = Float(exact)
  if rounded.isNaN || value.isNaN { return rounded.isNaN && value.isNaN ? 0 : .infinity }
  if rounded.isInfinite || value.isInfinite {
    let greatest = Float.greatestFiniteMagnitude
    if rounded == value { return 0 }
    return abs(rounded) >= greatest && abs(value) >= greatest && (rounded < 0) == (value < 0) ? 1 : .infinity
  }
  return abs(Double(value) - exact) / Double(max(rounded.magnitude, .leastNormalMagnitude).ulp)
}
