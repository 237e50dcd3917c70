import CTensorFlowProto

// What protobuf-c has decoded, as Swift reads it. A pointer in it is valid while its model is.

typealias GraphDef = Tensorflow__GraphDef
typealias NodeDef = Tensorflow__NodeDef
typealias AttrValue = Tensorflow__AttrValue
typealias TensorShapeDef = Tensorflow__TensorShapeProto
typealias TensorDef = Tensorflow__TensorProto

extension GraphDef {
  var nodes: [NodeDef] { messages(n_node, node) }
  /// Names of the functions that the graph brings along.
  var functions: [String] {
    guard let library = library?.pointee else { return [] }
    let functions: [Tensorflow__FunctionDef] = messages(library.n_function, library.function)
    return functions.map { text($0.signature?.pointee.name) }
  }
}

extension NodeDef {
  var operatorName: String { text(op) }
  var inputs: [String] { texts(n_input, input) }
  var attributes: [(key: String, value: AttrValue?)] {
    let entries: [Tensorflow__NodeDef__AttrEntry] = messages(n_attr, attr)
    return entries.map { (text($0.key), $0.value?.pointee) }
  }
}

extension TensorShapeDef {
  /// nil: even the number of dimensions is open. A size below 0 is any.
  var sizes: [Int?]? {
    guard has_unknown_rank == 0 || unknown_rank == 0 else { return nil }
    let dims: [Tensorflow__TensorShapeProto__Dim] = messages(n_dim, dim)
    return dims.map { $0.has_size == 0 ? 0 : $0.size < 0 ? nil : Int($0.size) }
  }
}
