import CApusKernels
import Glibc
import Testing

/// A function of the kernels, its reference, and the bound that its header states.
struct TestedFunction: CustomTestStringConvertible, Sendable {
  let name: String
  let apply: @Sendable (Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void
  let exact: @Sendable (Double) -> Double
  /// In ULP, for an argument.
  let bound: @Sendable (Double) -> Double
  /// Where the bound is infinite: the greatest error.
  var greatestError = 0x1p-23

  var testDescription: String { name }

  static let all = [
    TestedFunction(name: "exp", apply: apus_exp, exact: { exp($0) }, bound: { _ in 1 }),
    TestedFunction(name: "log", apply: apus_log, exact: { log($0) }, bound: { _ in 1 }),
    TestedFunction(name: "tanh", apply: apus_tanh, exact: { tanh($0) }, bound: { _ in 1.5 }),
    TestedFunction(name: "erf", apply: apus_erf, exact: { erf($0) }, bound: { _ in 1.5 }),
    TestedFunction(
      name: "sigmoid", apply: apus_sigmoid, exact: { 1 / (1 + exp(-$0)) }, bound: { _ in 2.5 }),
    TestedFunction(
      name: "gelu", apply: apus_gelu, exact: { $0 / 2 * erfc(-$0 * 0.5.squareRoot()) }, bound: { _ in 8 }),
    TestedFunction(
      name: "gelu_tanh", apply: apus_gelu_tanh,
      exact: { $0 / (1 + exp(-2 * (2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) },
      bound: { $0 >= -1 ? 8 : $0 >= -10 ? 200 : .infinity }),
  ]
}

/// Arguments all over the floats, with the edges of range and of precision.
private let arguments: [Float] = {
  let spread = stride(from: UInt32(0), to: UInt32.max - 86_028, by: 86_028).map { Float(bitPattern: $0) }
  var random = Random(seed: 7)
  let usual =
    random.floats(20_000, -16...16) + random.floats(5_000, -110...110) + random.floats(5_000, 0.5...2)
  let edges: [Float] = [
    0, 1, 0.625, 0.9278, 4, 9, 9.02, 10, 15, 16.64, 87.33, 87.34, 88.37, 88.38, 88.72, 88.73, 89, 103.9,
    103.98, 104, .infinity, .nan, .leastNonzeroMagnitude, .leastNormalMagnitude,
    .leastNormalMagnitude.nextDown, .greatestFiniteMagnitude, 0.70710677, 1.4142135, 8_388_608, 16_777_216,
  ]
  let nearEdges = edges.filter(\.isFinite).flatMap { [$0.nextUp, $0.nextDown] }
  return spread + usual + (edges + nearEdges).flatMap { [$0, -$0] }
}()

extension KernelTests {
  @Suite struct FunctionTests {
    @Test(arguments: TestedFunction.all, TestedLevel.available)
    func resultsAreWithinTheStatedBound(function: TestedFunction, level: TestedLevel) {
      let results = GuardedRows(columns: arguments.count)
      level.run { function.apply(arguments.count, arguments, results.start) }
      var failures: [String] = []
      for (index, argument) in arguments.enumerated() {
        let exact = function.exact(Double(argument))
        let bound = function.bound(Double(argument))
        let value = results[0, index]
        let isClose = unitsInLastPlace(value, exact) <= bound
        let isNear = bound == .infinity && (Double(value) - exact).magnitude <= function.greatestError
        let areBothNaN = value.isNaN && exact.isNaN
        if !(bound < .infinity ? isClose : isNear || areBothNaN) {
          failures.append("\(argument): \(value), not \(exact)")
        }
      }
      #expect(failures.isEmpty, "\(failures.count): \(failures.prefix(5))")
      #expect(results.guardsAreWhole)
    }

    /// Of every length, in place and not; nothing is written beside the results.
    @Test(arguments: TestedFunction.all, TestedLevel.available)
    func everyLengthGivesTheSameResults(function: TestedFunction, level: TestedLevel) {
      var random = Random(seed: 8)
      let values = random.floats(70, 0.1...5)
      let expected = GuardedRows(columns: values.count)
      level.run { function.apply(values.count, values, expected.start) }
      for count in 0...values.count {
        let apart = GuardedRows(columns: count)
        let inPlace = GuardedRows(Array(values.prefix(count)))
        level.run {
          function.apply(count, values, apart.start)
          function.apply(count, inPlace.start, inPlace.start)
        }
        #expect(apart.bitPatterns == Array(expected.bitPatterns.prefix(count)), "\(count)")
        #expect(inPlace.bitPatterns == apart.bitPatterns, "\(count)")
        #expect(apart.guardsAreWhole && inPlace.guardsAreWhole, "\(count)")
      }
    }

    @Test(arguments: TestedLevel.available)
    func limitsAreReached(level: TestedLevel) {
      func value(
        _ function: (Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void, _ x: Float
      ) -> Float {
        let y = GuardedRows([x])
        level.run { function(1, y.start, y.start) }
        return y[0, 0]
      }
      #expect(value(apus_exp, -.infinity) == 0)
      #expect(value(apus_exp, .infinity) == .infinity)
      #expect(value(apus_exp, 0) == 1)
      #expect(value(apus_exp, -103) == .leastNonzeroMagnitude)
      #expect(value(apus_log, 0) == -.infinity)
      #expect(value(apus_log, -0.0) == -.infinity)
      #expect(value(apus_log, 1) == 0)
      #expect(value(apus_log, .infinity) == .infinity)
      #expect(value(apus_log, -1).isNaN)
      #expect(value(apus_log, -.infinity).isNaN)
      #expect(value(apus_tanh, .infinity) == 1)
      #expect(value(apus_tanh, -.infinity) == -1)
      #expect(value(apus_tanh, -0.0).sign == .minus)
      #expect(value(apus_erf, .infinity) == 1)
      #expect(value(apus_erf, -.infinity) == -1)
      #expect(value(apus_erf, -0.0).sign == .minus)
      #expect(value(apus_sigmoid, .infinity) == 1)
      #expect(value(apus_sigmoid, -.infinity) == 0)
      #expect(value(apus_gelu, .infinity) == .infinity)
      #expect(value(apus_gelu, -.infinity).isNaN)
      #expect(value(apus_gelu_tanh, .infinity) == .infinity)
      #expect(value(apus_gelu_tanh, -.infinity).isNaN)
    }
  }
}
