import ApusEngine

/// An operator of TensorFlow that is read.
struct TensorFlowOperator: Sendable {
  /// Makes what a node computes of ONNX's operators, and gives its outputs.
  typealias Reading = @Sendable (inout TensorFlowScope) throws(GraphError) -> Void

  let name: String
  let read: Reading

  init(_ name: String, _ read: @escaping Reading) {
    self.name = name
    self.read = read
  }
}

/// All operators of TensorFlow that are read.
enum TensorFlowOperators {
  static let all: [String: TensorFlowOperator] = {
    let families = [
      same, functions, pairs, selections, products, windows, norms, reductions, shapes, joins, places,
    ]
    return Dictionary(families.joined().map { ($0.name, $0) }) { first, _ in first }
  }()

  /// For documentation and messages.
  static var names: [String] { (all.keys + ["Const", "NoOp", "Placeholder"]).sorted() }

  // MARK: The input as it is

  /// With the attribute that it may have. Of PlaceholderWithDefault it is what is given where a caller gives
  /// nothing, as none here does.
  private static let same =
    [
      ("Identity", ""), ("Snapshot", ""), ("StopGradient", ""), ("PreventGradient", "message"),
      ("CheckNumerics", "message"), ("EnsureShape", "shape"), ("PlaceholderWithDefault", "shape"),
    ].map { name, attribute in
      TensorFlowOperator(name) { (scope) throws(GraphError) in
        try scope.expect(inputs: 1)
        try scope.attributes.only([attribute])
        scope.give(try scope.value(0))
      }
    } + [
      TensorFlowOperator("IdentityN") { (scope) throws(GraphError) in
        try scope.attributes.only(["T"])
        for input in scope.inputs { scope.give(try scope.value(input)) }
      }
    ]

  // MARK: Functions of each element

  /// With ONNX's name.
  private static let named = [
    ("Relu", "Relu"), ("Elu", "Elu"), ("Selu", "Selu"), ("Sigmoid", "Sigmoid"), ("Tanh", "Tanh"),
    ("Softplus", "Softplus"), ("Softsign", "Softsign"), ("Exp", "Exp"), ("Log", "Log"), ("Erf", "Erf"),
    ("Sqrt", "Sqrt"), ("Neg", "Neg"), ("Abs", "Abs"), ("Floor", "Floor"), ("Ceil", "Ceil"),
    ("Round", "Round"),
    ("Rint", "Round"), ("Sign", "Sign"), ("Reciprocal", "Reciprocal"), ("Inv", "Reciprocal"),
    ("LogicalNot", "Not"),
  ].map { name, other in
    function(name) { (scope, x) throws(GraphError) in try scope.emit(other, [x]) }
  }

  private static let functions =
    named + [
      function("LeakyRelu", "alpha") { (scope, x) throws(GraphError) in
        try scope.emit("LeakyRelu", [x], ["alpha": .float(scope.attributes.float("alpha") ?? 0.2)])
      },
      function("Relu6") { (scope, x) throws(GraphError) in
        try scope.emit("Clip", [x, scope.constant(0, like: x), scope.constant(6, like: x)])
      },
      function("Square") { (scope, x) throws(GraphError) in try scope.emit("Mul", [x, x]) },
      function("Rsqrt") { (scope, x) throws(GraphError) in
        try scope.emit("Reciprocal", [scope.emit("Sqrt", [x])])
      },
      function("Erfc") { (scope, x) throws(GraphError) in
        // 1 - erf(x), and for -x, in which GELU is written, 1 + erf(x).
        let one = try scope.constant(1, like: x)
        if let opposite = try scope.opposite(of: x) {
          return try scope.emit("Add", [scope.emit("Erf", [opposite]), one])
        }
        return try scope.emit("Sub", [one, scope.emit("Erf", [x])])
      },
      function("Cast", "Truncate") { (scope, x) throws(GraphError) in
        guard let type = try scope.attributes.type("DstT") else { throw GraphError("it has no type DstT") }
        guard try scope.attributes.flag("Truncate") != true else {
          throw GraphError("numbers are rounded to the nearest, and never cut, as Truncate asks for")
        }
        return try scope.cast(x, to: type)
      },
    ]

  /// One that gives a number for each, wherever they lie.
  private static func function(
    _ name: String, _ attribute: String = "",
    _ make: @escaping @Sendable (inout TensorFlowScope, Graph.ValueID) throws(GraphError) -> Graph.ValueID
  ) -> TensorFlowOperator {
    TensorFlowOperator(name) { (scope) throws(GraphError) in
      try scope.expect(inputs: 1)
      try scope.attributes.only([attribute])
      let isMoved = try scope.isMoved(0)
      let input = try isMoved ? scope.channelsFirst(0) : scope.plain(0)
      scope.give(try make(&scope, input), isMoved: isMoved)
    }
  }

  // MARK: Functions of pairs

  /// With ONNX's name.
  private static let namedPairs = [
    ("Add", "Add"), ("AddV2", "Add"), ("Sub", "Sub"), ("Mul", "Mul"), ("RealDiv", "Div"), ("Div", "Div"),
    ("Maximum", "Max"), ("Minimum", "Min"), ("Pow", "Pow"), ("Greater", "Greater"),
    ("GreaterEqual", "GreaterOrEqual"), ("Less", "Less"), ("LessEqual", "LessOrEqual"), ("Equal", "Equal"),
    ("LogicalAnd", "And"), ("LogicalOr", "Or"),
  ].map { name, other in
    pair(name) { (scope, x, y) throws(GraphError) in try scope.emit(other, [x, y]) }
  }

  private static let pairs =
    namedPairs + [
      pair("NotEqual") { (scope, x, y) throws(GraphError) in
        try scope.emit("Not", [scope.emit("Equal", [x, y])])
      },
      pair("SquaredDifference") { (scope, x, y) throws(GraphError) in
        let difference = try scope.emit("Sub", [x, y])
        return try scope.emit("Mul", [difference, difference])
      },
      TensorFlowOperator("AddN") { (scope) throws(GraphError) in
        try scope.expect(inputs: 1...TensorFlowLimits.inputsPerNode)
        try scope.attributes.only(["N"])
        let addends = try scope.aligned(Array(scope.inputs))
        var sum = addends.values[0]
        for addend in addends.values.dropFirst() { sum = try scope.emit("Add", [sum, addend]) }
        scope.give(sum, isMoved: addends.areMoved)
      },
    ]

  private static func pair(
    _ name: String,
    _ make:
      @escaping @Sendable (inout TensorFlowScope, Graph.ValueID, Graph.ValueID) throws(GraphError)
      -> Graph.ValueID
  ) -> TensorFlowOperator {
    TensorFlowOperator(name) { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only(["incompatible_shape_error"])
      let pair = try scope.aligned([0, 1])
      scope.give(try make(&scope, pair.values[0], pair.values[1]), isMoved: pair.areMoved)
    }
  }

  // MARK: Choices

  private static let selections: [TensorFlowOperator] = [
    TensorFlowOperator("SelectV2") { (scope) throws(GraphError) in
      try scope.expect(inputs: 3)
      try scope.attributes.only([])
      let inputs = try scope.aligned([0, 1, 2])
      scope.give(try scope.emit("Where", inputs.values), isMoved: inputs.areMoved)
    },
    // Its condition may be one for each row.
    TensorFlowOperator("Select") { (scope) throws(GraphError) in
      try scope.expect(inputs: 3)
      try scope.attributes.only([])
      var condition = try scope.plain(0)
      let (x, y) = (try scope.plain(1), try scope.plain(2))
      let rank = scope.builder.rank(x)
      if scope.builder.rank(condition) == 1, rank > 1 {
        condition = try scope.emit("Unsqueeze", [condition, scope.constant(Array(1..<rank))])
      }
      scope.give(try scope.emit("Where", [condition, x, y]))
    },
  ]
}

extension TensorFlowScope {
  /// -x, where x is computed as the opposite of something, or as a product of that.
  fileprivate mutating func opposite(of x: Graph.ValueID) throws(GraphError) -> Graph.ValueID? {
    guard let product = builder.node(computing: x) else { return nil }
    if product.operation.name == "Neg" { return product.inputs[0] }
    guard product.operation.name == "Mul", let left = product.inputs[0], let right = product.inputs[1] else {
      return nil
    }
    for (place, other) in [(left, right), (right, left)] {
      guard let negative = builder.node(computing: place), negative.operation.name == "Neg" else { continue }
      return try emit("Mul", [negative.inputs[0], other])
    }
    return nil
  }
}
