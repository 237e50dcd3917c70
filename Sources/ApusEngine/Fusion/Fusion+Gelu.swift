/// Finds GELU (Hendrycks and Gimpel, arXiv:1606.08415) in the pieces that exporters write before opset 20:
/// ½ x (1 + erf(x / √2)), or ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))) with x drawn out of the sum or not,
/// multiplied in any order.
func joinGelu(_ editor: inout GraphEditor) {
  for node in editor.nodes() where editor.isThere(node) {
    guard (editor.graph.nodes[node].operation as? Arithmetic)?.function == .multiply,
      let output = editor.onlyOutput(of: node), let found = editor.gelu(output)
    else { continue }
    editor.replace(found.pieces, Gelu(isApproximate: found.isByTanh), inputs: [found.root], output: output)
  }
}

private struct FoundGelu {
  let root: Graph.ValueID
  let isByTanh: Bool
  let pieces: Set<Int>
}

extension GraphEditor {
  /// What a value is GELU of, in pieces that nobody else reads.
  fileprivate func gelu(_ value: Graph.ValueID) -> FoundGelu? {
    var whole = Matcher(self)
    let product = whole.product(value)
    guard product.coefficient.isAbout(0.5), product.factors.count == 2, type(of: value)?.element == .float32
    else { return nil }
    for (root, other) in [(0, 1), (1, 0)] {
      let (root, sum) = (product.factors[root], product.factors[other])
      var matcher = whole
      guard type(of: root) == type(of: value), let (function, one) = matcher.pairWithScalar(sum, .add),
        one == 1
      else { continue }
      let isByTanh = matcher.isTanh(function, of: root)
      guard isByTanh || matcher.isErrorFunction(function, of: root), matcher.isClosed(giving: value) else {
        continue
      }
      return FoundGelu(root: root, isByTanh: isByTanh, pieces: matcher.nodes)
    }
    return nil
  }
}

extension Matcher {
  /// A product of numbers and factors that are no products themselves, or that someone else reads.
  fileprivate struct Product {
    var coefficient: Float = 1
    var factors: [Graph.ValueID] = []
  }

  /// As deep as a cube is written.
  private static let mostDepth = 4

  fileprivate mutating func product(_ value: Graph.ValueID) -> Product {
    var product = Product()
    collect(value, into: &product, depth: 0)
    return product
  }

  private mutating func collect(_ value: Graph.ValueID, into product: inout Product, depth: Int) {
    if let number = editor.scalar(value) {
      product.coefficient *= number
      return
    }
    let isOpen = depth == 0 || depth < Self.mostDepth && editor.hasOneReader(value)
    if isOpen, let (left, right) = pair(value, .multiply) {
      collect(left, into: &product, depth: depth + 1)
      collect(right, into: &product, depth: depth + 1)
    } else if isOpen, let (root, exponent) = power(value), exponent == 2 || exponent == 3 {
      product.factors += [Graph.ValueID](repeating: root, count: Int(exponent))
    } else {
      product.factors.append(value)
    }
  }

  /// erf(x / √2)
  fileprivate mutating func isErrorFunction(_ value: Graph.ValueID, of root: Graph.ValueID) -> Bool {
    let found = attempt { matcher -> Bool? in
      guard let argument = matcher.function(value, .errorFunction) else { return nil }
      if let (other, divisor) = matcher.pairWithScalar(argument, .divide) {
        return other == root && divisor.isAbout(1.4142135623730951) ? true : nil
      }
      guard let (other, factor) = matcher.pairWithScalar(argument, .multiply) else { return nil }
      return other == root && factor.isAbout(0.7071067811865476) ? true : nil
    }
    return found != nil
  }

  /// tanh(√(2/π) (x + 0.044715 x³)), or tanh(√(2/π) x (1 + 0.044715 x²))
  fileprivate mutating func isTanh(_ value: Graph.ValueID, of root: Graph.ValueID) -> Bool {
    let found = attempt { matcher -> Bool? in
      guard let argument = matcher.function(value, .tanh) else { return nil }
      return matcher.isArgument(argument, of: root) ? true : nil
    }
    return found != nil
  }

  private mutating func isArgument(_ value: Graph.ValueID, of root: Graph.ValueID) -> Bool {
    let whole = product(value)
    guard whole.coefficient.isAbout(0.7978845608028654) else { return false }
    switch whole.factors.count {
    case 1:
      guard let (left, right) = pair(whole.factors[0], .add), left == root || right == root else {
        return false
      }
      return isTerm(left == root ? right : left, of: root, power: 3)
    case 2 where whole.factors.contains(root):
      let other = whole.factors[0] == root ? whole.factors[1] : whole.factors[0]
      guard let (square, one) = pairWithScalar(other, .add), one == 1 else { return false }
      return isTerm(square, of: root, power: 2)
    default: return false
    }
  }

  /// 0.044715 times a power of x.
  private mutating func isTerm(_ value: Graph.ValueID, of root: Graph.ValueID, power: Int) -> Bool {
    let term = product(value)
    return term.coefficient.isAbout(0.044715)
      && term.factors == [Graph.ValueID](repeating: root, count: power)
  }
}
