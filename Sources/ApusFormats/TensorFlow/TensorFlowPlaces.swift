import ApusEngine

extension TensorFlowOperators {
  // MARK: Elements from elsewhere

  static let places: [TensorFlowOperator] = [
    TensorFlowOperator("GatherV2") { (scope) throws(GraphError) in
      try scope.expect(inputs: 3)
      try scope.attributes.only(["batch_dims"])
      guard try scope.attributes.int("batch_dims") ?? 0 == 0 else {
        throw GraphError("batch_dims other than 0 are not computed here")
      }
      let axis = try scope.number(2, "the axis")
      scope.give(try scope.emit("Gather", [scope.plain(0), scope.plain(1)], ["axis": .int(axis)]))
    },
    TensorFlowOperator("Gather") { (scope) throws(GraphError) in
      try scope.expect(inputs: 2)
      try scope.attributes.only(["validate_indices"])
      scope.give(try scope.emit("Gather", [scope.plain(0), scope.plain(1)], ["axis": .int(0)]))
    },
    TensorFlowOperator("Pad") { (scope) throws(GraphError) in try scope.pad(mode: "constant") },
    TensorFlowOperator("PadV2") { (scope) throws(GraphError) in try scope.pad(mode: "constant") },
    TensorFlowOperator("MirrorPad") { (scope) throws(GraphError) in
      let mode = try scope.attributes.string("mode") ?? ""
      guard mode == "REFLECT" else {
        throw GraphError("the mode '\(printable(mode))' is not computed here; REFLECT is")
      }
      try scope.pad(mode: "reflect")
    },
    TensorFlowOperator("Slice") { (scope) throws(GraphError) in
      try scope.expect(inputs: 3)
      try scope.attributes.only([])
      let (starts, sizes) = (try scope.numbers(1, "begin"), try scope.numbers(2, "size"))
      guard starts.count == sizes.count, !starts.contains(where: { $0 < 0 }) else {
        throw GraphError("begin \(starts.prefix(16)) and size \(sizes.prefix(16)) do not go together")
      }
      let ends = zip(starts, sizes).map { start, size in
        size == -1 ? Int.max : start.addingReportingOverflow(size).overflow ? Int.max : start + size
      }
      scope.give(
        try scope.emit("Slice", [scope.plain(0), scope.constant(starts), scope.constant(ends)]))
    },
    TensorFlowOperator("StridedSlice") { (scope) throws(GraphError) in
      try scope.expect(inputs: 4)
      try scope.attributes.only([
        "begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask",
      ])
      let input = try scope.plain(0)
      let slice = try StridedSlice(
        begin: scope.numbers(1, "begin"), end: scope.numbers(2, "end"), strides: scope.numbers(3, "strides"),
        attributes: scope.attributes, rank: scope.builder.rank(input))
      scope.give(try scope.apply(slice, to: input))
    },
  ]
}

extension TensorFlowScope {
  /// What is put around a tensor, two numbers for each dimension.
  fileprivate mutating func pad(mode: String) throws(GraphError) {
    try expect(inputs: node.operatorName == "PadV2" ? 3 : 2)
    try attributes.only(["mode"])
    let isMoved = try isMoved(0)
    let input = try isMoved ? channelsFirst(0) : plain(0)
    let pads = try numbers(1, "paddings")
    let rank = builder.rank(input)
    guard pads.count == 2 * rank else {
      throw GraphError("\(pads.count) pads do not go with \(rank) dimensions")
    }
    guard !pads.contains(where: { $0 < 0 }) else { throw GraphError("one of the pads \(pads) is negative") }
    let axes = isMoved ? [0, 3, 1, 2] : Array(0..<rank)
    let places = try constant(axes.map { pads[2 * $0] } + axes.map { pads[2 * $0 + 1] })
    let value = try node.operatorName == "PadV2" ? plain(2) : nil
    give(
      try emit("Pad", [input, places] + (value.map { [$0] } ?? []), ["mode": .string(mode)]), isMoved: isMoved
    )
  }

  /// A slice, then without the dimensions of which one element is taken, then with new ones.
  fileprivate mutating func apply(_ slice: StridedSlice, to input: Graph.ValueID) throws(GraphError)
    -> Graph.ValueID
  {
    var value = input
    if !slice.axes.isEmpty {
      value = try emit(
        "Slice",
        [
          value, constant(slice.axes.map(\.start)), constant(slice.axes.map(\.end)),
          constant(slice.axes.map(\.axis)), constant(slice.axes.map(\.step)),
        ])
    }
    if !slice.dropped.isEmpty { value = try emit("Squeeze", [value, constant(slice.dropped)]) }
    if !slice.added.isEmpty { value = try emit("Unsqueeze", [value, constant(slice.added)]) }
    return value
  }
}

/// What StridedSlice takes of a tensor, one entry of its lists after the other (tensorflow/core/util/
/// strided_slice_op.h): a bit of a mask says that a start or end counts for nothing, that the entry stands
/// for all dimensions that are not named, that it makes a new one, or that it takes one element and drops the
/// dimension.
private struct StridedSlice {
  struct Axis {
    let axis: Int
    let start: Int
    let end: Int
    let step: Int
  }

  private(set) var axes: [Axis] = []
  /// Of the input's dimensions.
  private(set) var dropped: [Int] = []
  /// Of the result's dimensions.
  private(set) var added: [Int] = []

  init(
    begin: [Int], end: [Int], strides: [Int], attributes: TensorFlowAttributes, rank: Int
  ) throws(GraphError) {
    guard begin.count == end.count, begin.count == strides.count, begin.count <= 2 * TensorType.maximumRank
    else {
      throw GraphError("begin, end and strides are not equally many, or too many")
    }
    func isMarked(_ mask: String, _ entry: Int) throws(GraphError) -> Bool {
      try attributes.int(mask).map { $0 >> entry & 1 != 0 } ?? false
    }
    var named = 0
    for entry in begin.indices {
      let isEllipsis = try isMarked("ellipsis_mask", entry)
      let isNew = try isMarked("new_axis_mask", entry)
      named += isEllipsis || isNew ? 0 : 1
    }
    guard named <= rank else { throw GraphError("it takes \(named) dimensions of a tensor that has \(rank)") }
    var (axis, result, hasEllipsis) = (0, 0, false)
    for entry in begin.indices {
      if try isMarked("ellipsis_mask", entry) {
        guard !hasEllipsis else { throw GraphError("it has more than one ellipsis") }
        hasEllipsis = true
        axis += rank - named
        result += rank - named
      } else if try isMarked("new_axis_mask", entry) {
        added.append(result)
        result += 1
      } else if try isMarked("shrink_axis_mask", entry) {
        let start = begin[entry]
        axes.append(Axis(axis: axis, start: start, end: start == -1 ? .max : start &+ 1, step: 1))
        dropped.append(axis)
        axis += 1
      } else {
        let isForward = strides[entry] > 0
        axes.append(
          Axis(
            axis: axis, start: try isMarked("begin_mask", entry) ? (isForward ? 0 : .max) : begin[entry],
            end: try isMarked("end_mask", entry) ? (isForward ? .max : .min) : end[entry],
            step: strides[entry]))
        axis += 1
        result += 1
      }
    }
  }
}
