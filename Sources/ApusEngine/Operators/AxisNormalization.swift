/// Neighbouring axes brought to a mean of 0 and a variance of 1, then scaled and moved by a number for each
/// place along them: what layer normalization is along axes that need not be the last ones.
///  Inputs: X of float32, and scale and bias, of as many numbers as the axes have places, where they are
/// given.
struct AxisNormalization: Operator {
  let axes: ClosedRange<Int>
  let epsilon: Float
  var name: String { "AxisNormalization" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let input = try inputs.required(0, "X")
    guard input.element == .float32, axes.lowerBound >= 0, axes.upperBound < input.shape.count else {
      throw GraphError("\(input.type.description) has no axes \(axes)")
    }
    let size = input.shape[axes].reduce(1, *)
    for case let parameter? in [inputs.optional(1), inputs.optional(2)] {
      guard parameter.element == .float32, parameter.shape == [size] else {
        throw GraphError("\(parameter.type.description) does not go with \(size) places")
      }
    }
    return [input.type]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let input = try inputs.required(0)
    guard input.type.count > 0 else { return }
    let outer = input.type.shape[..<axes.lowerBound].reduce(1, *)
    let inner = input.type.shape[(axes.upperBound + 1)...].reduce(1, *)
    let size = input.type.count / (outer * inner)
    let scale = inputs.optional(1)?.elements(Float.self)
    let bias = inputs.optional(2)?.elements(Float.self)
    let (source, target) = (input.elements(Float.self), outputs[0].elements(Float.self))
    var numbers = [Float](repeating: 0, count: size)
    for block in 0..<outer {
      for column in 0..<inner {
        let first = block * size * inner + column
        for place in 0..<size { numbers[place] = source[first + place * inner] }
        let moments = numbers.withUnsafeBufferPointer {
          Moments($0.baseAddress.unsafelyUnwrapped, size, epsilon: epsilon, isCentered: true)
        }
        for place in 0..<size {
          let scaled = moments.normal(numbers[place]) * (scale?[place] ?? 1)
          target[first + place * inner] = scaled + (bias?[place] ?? 0)
        }
      }
    }
  }
}
