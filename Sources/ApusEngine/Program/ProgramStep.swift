/// Where a value of a program lies while it runs.
enum Location: Sendable {
  case arena(offset: Int)
  case constant(Tensor)
  /// Where the caller has put his rows.
  case input
  /// Where the caller wants his.
  case output

  @inline(__always)
  func address(_ memory: borrowing ProgramMemory) -> UnsafeMutableRawPointer {
    switch self {
    case .arena(let offset): memory.arena + offset
    case .constant(let tensor): tensor.start
    case .input: UnsafeMutableRawPointer(mutating: memory.input)
    case .output: memory.output
    }
  }
}

/// What a run of a program reads and writes beside its constants.
struct ProgramMemory: ~Copyable {
  let arena: UnsafeMutableRawPointer
  let input: UnsafeRawPointer
  let output: UnsafeMutableRawPointer
}

/// One computation of a program.
///
/// Invariant of the unsafe code: for up to as many rows as the program's block has, the memory covers what the
/// step's locations and types say, and no output overlaps an input.
protocol ProgramStep: Sendable {
  /// - Throws: `GraphError` for numbers that the operator does not allow.
  func run(rows: Int, _ memory: borrowing ProgramMemory) throws(GraphError)
  /// For a person.
  var description: String { get }
}

/// A value that a step reads or writes.
struct Operand: Sendable {
  let type: BatchType
  let location: Location
}

/// An operator in its plain form.
struct PlainStep: ProgramStep {
  let name: String
  let operation: any Operator
  let inputs: [Operand?]
  let outputs: [Operand]

  func run(rows: Int, _ memory: borrowing ProgramMemory) throws(GraphError) {
    var read: [TensorView?] = []
    for input in inputs {
      guard let input else {
        read.append(nil)
        continue
      }
      read.append(
        TensorView(
          type: try input.type.resolved(rows: rows), start: UnsafeRawPointer(input.location.address(memory))))
    }
    var written: [MutableTensorView] = []
    for output in outputs {
      written.append(
        MutableTensorView(
          type: try output.type.resolved(rows: rows), start: output.location.address(memory)))
    }
    do { try operation.compute(read, written) } catch {
      throw GraphError("\(name) (\(operation.name)): \(error.description)")
    }
  }

  var description: String { "\(operation.name) \(name)" }
}
