/// Rows of a table by their indices, and the table's last row for every index that leads out of the rows
/// before it: what a product with a one-hot matrix gives, whose row is zeros for a number that is no class.
///
/// Inputs: indices [...] of int32 or int64, and the table [rows + 1, columns] of float32.
struct RowLookup: Operator {
  /// Sizes of 1 at the end of the indices' shape that the result does not have.
  let droppedDimensions: Int
  var name: String { "RowLookup" }

  func outputTypes(_ inputs: [KnownTensor?]) throws(GraphError) -> [TensorType] {
    let (indices, table) = (try inputs.required(0, "indices"), try inputs.required(1, "table"))
    guard indices.element == .int32 || indices.element == .int64, table.element == .float32,
      table.shape.count == 2, table.shape[0] > 0, droppedDimensions <= indices.shape.count,
      indices.shape.suffix(droppedDimensions).allSatisfy({ $0 == 1 })
    else {
      throw GraphError("\(indices.type.description) does not lead into \(table.type.description)")
    }
    return [try TensorType(.float32, indices.shape.dropLast(droppedDimensions) + [table.shape[1]])]
  }

  func compute(_ inputs: [TensorView?], _ outputs: [MutableTensorView]) throws(GraphError) {
    let (indices, table) = (try inputs.required(0), try inputs.required(1))
    let reader = IndexReader(indices.start, indices.type.element)
    let (last, bytes) = (table.type.shape[0] - 1, table.type.shape[1] * 4)
    for place in 0..<indices.type.count {
      let row = reader[place] >= 0 && reader[place] < last ? reader[place] : last
      (outputs[0].start + place * bytes).copyMemory(from: table.start + row * bytes, byteCount: bytes)
    }
  }
}
