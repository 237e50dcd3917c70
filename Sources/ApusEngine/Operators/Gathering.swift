/// Gather: whole slices along an axis, by their indices, which may count from the end.
struct Gathering: Operator {
  let axis: Int
  var name: String { "Gather" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (data, indices) = (try inputs.required(0, "data").type, try inputs.required(1, "indices"))
    try Indices.check(indices.element)
    let axis = try data.axis(axis)
    let shape = data.shape[..<axis] + indices.shape + data.shape[(axis + 1)...]
    return [try TensorType(data.element, Array(shape))]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (data, indices) = (try inputs.required(0), Indices(try inputs.required(1)))
    let around = data.type.around(try data.type.axis(axis))
    let bytes = around.inner * data.type.element.byteCount
    for place in 0..<indices.count {
      let index = try indices.place(place, in: around.size)
      for outer in 0..<around.outer where bytes > 0 {
        (outputs[0].start + (outer * indices.count + place) * bytes).copyMemory(
          from: data.start + (outer * around.size + index) * bytes, byteCount: bytes)
      }
    }
  }

  static let entries = [
    OperatorEntry("Gather") { (node) throws(GraphError) in
      try node.check(inputs: 2...2)
      try node.attributes.only("axis")
      return Gathering(axis: try node.attributes.int("axis") ?? 0)
    }
  ]
}

/// GatherElements: at each place of the indices, the element that lies in the same place of all axes but one.
struct ElementGathering: Operator {
  let axis: Int
  var name: String { "GatherElements" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (data, indices) = (try inputs.required(0, "data").type, try inputs.required(1, "indices"))
    try Indices.check(indices.element)
    let axis = try data.axis(axis)
    let sizes = zip(indices.shape, data.shape).enumerated()
    guard indices.shape.count == data.rank,
      sizes.allSatisfy({ $0.offset == axis || $0.element.0 <= $0.element.1 })
    else {
      throw GraphError("indices of shape \(indices.shape) do not lie in a tensor of shape \(data.shape)")
    }
    return [try TensorType(data.element, indices.shape)]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (data, indices) = (try inputs.required(0), Indices(try inputs.required(1)))
    let axis = try data.type.axis(axis)
    let strides = Walk.strides(of: data.type.shape)
    var steps = strides.map { SIMD4($0, 0, 0, 0) }
    steps[axis] = .zero
    let bytes = data.type.element.byteCount
    try Walk(outputs[0].type.shape, steps).forEach { (place, offsets) throws(GraphError) in
      let index = try indices.place(place, in: data.type.shape[axis])
      (outputs[0].start + place * bytes).copyMemory(
        from: data.start + (offsets[0] + index * strides[axis]) * bytes, byteCount: bytes)
    }
  }

  static let entries = [
    OperatorEntry("GatherElements") { (node) throws(GraphError) in
      try node.check(since: 11, inputs: 2...2)
      try node.attributes.only("axis")
      return ElementGathering(axis: try node.attributes.int("axis") ?? 0)
    }
  ]
}

/// GatherND: slices by indices of several axes at once, which are the last dimension of the indices. The
/// first `batchDimensions` of both tensors go together.
struct SliceGathering: Operator {
  let batchDimensions: Int
  var name: String { "GatherND" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (data, indices) = (try inputs.required(0, "data").type, try inputs.required(1, "indices").type)
    try Indices.check(indices.element)
    let batch = batchDimensions
    guard batch >= 0, batch < min(data.rank, indices.rank), let depth = indices.shape.last,
      data.shape[..<batch] == indices.shape[..<batch], (1...(data.rank - batch)).contains(depth)
    else {
      throw GraphError("indices of shape \(indices.shape) do not lead into a tensor of shape \(data.shape)")
    }
    return [try TensorType(data.element, Array(indices.shape.dropLast() + data.shape[(batch + depth)...]))]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (data, indices) = (try inputs.required(0), Indices(try inputs.required(1)))
    guard outputs[0].type.count > 0, let depth = indices.shape.last else { return }
    let strides = Walk.strides(of: data.type.shape)
    let batch = batchDimensions
    let slices = indices.count / depth
    let inBatch = indices.shape[batch..<(indices.shape.count - 1)].reduce(1, *)
    let batchStride = data.type.shape[batch...].reduce(1, *)
    let bytes = data.type.shape[(batch + depth)...].reduce(1, *) * data.type.element.byteCount
    for slice in 0..<slices {
      var offset = slice / inBatch * batchStride
      for axis in 0..<depth {
        let index = try indices.place(slice * depth + axis, in: data.type.shape[batch + axis])
        offset += index * strides[batch + axis]
      }
      (outputs[0].start + slice * bytes).copyMemory(
        from: data.start + offset * data.type.element.byteCount, byteCount: bytes)
    }
  }

  static let entries = [
    OperatorEntry("GatherND") { (node) throws(GraphError) in
      try node.check(since: 11, inputs: 2...2)
      if node.opset >= 12 { try node.attributes.only("batch_dims") } else { try node.attributes.only() }
      return SliceGathering(batchDimensions: try node.attributes.int("batch_dims") ?? 0)
    }
  ]
}

/// Places along an axis: whole numbers of 32 or 64 bits.
private struct Indices {
  private let tensor: TensorView

  init(_ tensor: TensorView) { self.tensor = tensor }

  var count: Int { tensor.type.count }
  var shape: [Int] { tensor.type.shape }

  static func check(_ element: ElementType) throws(GraphError) {
    guard element == .int64 || element == .int32 else {
      throw GraphError("indices are of int32 or int64, not of \(element.rawValue)")
    }
  }

  /// The place in a dimension that an index means.
  ///
  /// - Throws: `GraphError` for an index that leads out of it.
  @inline(__always)
  func place(_ position: Int, in size: Int) throws(GraphError) -> Int {
    let index =
      tensor.type.element == .int64
      ? Int(tensor.start.assumingMemoryBound(to: Int64.self)[position])
      : Int(tensor.start.assumingMemoryBound(to: Int32.self)[position])
    let place = index < 0 ? index + size : index
    guard place >= 0, place < size else {
      throw GraphError("the index \(index) leads out of a dimension of \(size)")
    }
    return place
  }
}
