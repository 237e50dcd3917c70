/// A product of stacks of matrices by numpy's rules: dimensions before the last two are broadcast; a vector
/// on the left is a row, one on the right a column, and the dimension it lacks is missing in the output too.
struct MatrixStack {
  /// Of each left matrix and each output.
  let rows: Int
  /// Columns of the left, rows of the right.
  let inner: Int
  /// Of each right matrix and each output.
  let columns: Int
  let outputShape: [Int]
  /// Dimensions of the stack of outputs.
  private let batch: [Int]
  /// For each of them the matrices to go on by; 0 where a stack has one for all.
  private let leftSteps: [Int]
  private let rightSteps: [Int]

  /// - Throws: `GraphError` for scalars and for shapes that do not fit.
  init(_ left: [Int], _ right: [Int]) throws(GraphError) {
    guard let lastOfLeft = left.last, !right.isEmpty else {
      throw GraphError("a scalar cannot be multiplied as a matrix")
    }
    rows = left.count == 1 ? 1 : left[left.count - 2]
    inner = lastOfLeft
    columns = right.count == 1 ? 1 : right[right.count - 1]
    let innerOfRight = right.count == 1 ? right[0] : right[right.count - 2]
    guard inner == innerOfRight else {
      throw GraphError("matrices of shapes \(left) and \(right) cannot be multiplied")
    }
    let leftBatch = Array(left.dropLast(2))
    let rightBatch = Array(right.dropLast(2))
    batch = try broadcastShape(leftBatch, rightBatch)
    leftSteps = broadcastSteps(leftBatch, to: batch.count)
    rightSteps = broadcastSteps(rightBatch, to: batch.count)
    outputShape = batch + (left.count == 1 ? [] : [rows]) + (right.count == 1 ? [] : [columns])
  }

  /// Computes all outputs, which are not empty.
  func multiply<Product: ProductSum>(
    _ product: Product, _ left: UnsafePointer<Product.Left>, _ right: UnsafePointer<Product.Right>,
    into output: UnsafeMutablePointer<Product.Output>
  ) {
    let matrix = MatrixProduct(rows: rows, inner: inner, columns: columns)
    var place = [Int](repeating: 0, count: batch.count)
    var output = output
    var leftMatrix = 0
    var rightMatrix = 0
    for _ in 0..<batch.reduce(1, *) {
      matrix.multiply(
        product, left + leftMatrix * rows * inner, right + rightMatrix * inner * columns, into: output)
      output += rows * columns
      for axis in batch.indices.reversed() {
        place[axis] += 1
        leftMatrix += leftSteps[axis]
        rightMatrix += rightSteps[axis]
        if place[axis] < batch[axis] { break }
        leftMatrix -= leftSteps[axis] * batch[axis]
        rightMatrix -= rightSteps[axis] * batch[axis]
        place[axis] = 0
      }
    }
  }
}

/// A product of two matrices, each of which may be stored transposed.
struct MatrixProduct {
  let rows: Int
  let inner: Int
  let columns: Int
  var isLeftTransposed = false
  var isRightTransposed = false

  func multiply<Product: ProductSum>(
    _ product: Product, _ left: UnsafePointer<Product.Left>, _ right: UnsafePointer<Product.Right>,
    into output: UnsafeMutablePointer<Product.Output>
  ) {
    withUnsafeTemporaryAllocation(of: Product.Sum.self, capacity: Product.tile) { sums in
      let sums = sums.baseAddress.unsafelyUnwrapped
      for row in 0..<rows {
        for start in stride(from: 0, to: columns, by: Product.tile) {
          let count = min(Product.tile, columns - start)
          for place in 0..<count {
            (sums + place).initialize(to: product.start(column: start + place))
          }
          for index in 0..<inner {
            let value = left[isLeftTransposed ? index * rows + row : row * inner + index]
            let first = isRightTransposed ? right + start * inner + index : right + index * columns + start
            add(product, value, first, row, start, count, into: sums)
          }
          for place in 0..<count {
            output[row * columns + start + place] =
              product.finish(sums[place], row: row, column: start + place)
          }
        }
      }
    }
  }

  /// Adds the products of one left element with those of the right that lie in a row of it.
  @inline(__always)
  private func add<Product: ProductSum>(
    _ product: Product, _ value: Product.Left, _ right: UnsafePointer<Product.Right>,
    _ row: Int, _ column: Int, _ count: Int, into sums: UnsafeMutablePointer<Product.Sum>
  ) {
    if isRightTransposed {
      for place in 0..<count {
        sums[place] = product.adding(
          value, right[place * inner], to: sums[place], row: row, column: column + place)
      }
    } else {
      for place in 0..<count {
        sums[place] = product.adding(value, right[place], to: sums[place], row: row, column: column + place)
      }
    }
  }
}

/// The shape of two that are broadcast to each other.
///
/// - Throws: `GraphError` where they cannot be.
func broadcastShape(_ first: [Int], _ second: [Int]) throws(GraphError) -> [Int] {
  let rank = max(first.count, second.count)
  var shape: [Int] = []
  for axis in 0..<rank {
    let one = axis < rank - first.count ? 1 : first[axis - (rank - first.count)]
    let other = axis < rank - second.count ? 1 : second[axis - (rank - second.count)]
    guard one == other || one == 1 || other == 1 else {
      throw GraphError("shapes \(first) and \(second) cannot be broadcast")
    }
    shape.append(one == 1 ? other : one)
  }
  return shape
}

/// For each of `rank` axes how many elements to go on by in a tensor that is broadcast along some of them,
/// where it is 0. They mean nothing for a tensor without elements.
func broadcastSteps(_ shape: [Int], to rank: Int) -> [Int] {
  var steps = [Int](repeating: 0, count: rank)
  var step = 1
  for (axis, size) in shape.enumerated().reversed() {
    steps[rank - shape.count + axis] = size == 1 ? 0 : step
    step = step &* size
  }
  return steps
}
