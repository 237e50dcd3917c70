/// Where a value of a program lies while it runs.
enum Location: Sendable {
  case arena(offset: Int)
  case constant(Tensor)
  /// Where the caller has put his rows.
  case input
  /// Where the caller wants his.
  case output
}

/// What a run of a program reads and writes beside its constants.
struct ProgramMemory {
  let arena: UnsafeMutableRawPointer
  let input: UnsafeRawPointer
  let output: UnsafeMutableRawPointer

  @inline(__always)
  func address(_ location: Location) -> UnsafeMutableRawPointer {
    switch location {
    case .arena(let offset): arena + offset
    case .constant(let tensor): tensor.start
    case .input: UnsafeMutableRawPointer(mutating: input)
    case .output: output
    }
  }
}

/// A value that a step reads or writes.
struct Operand: Sendable {
  let type: BatchType
  let location: Location
}

/// What a step computes, for one node's types.
protocol StepKernel: Sendable {
  /// Bytes of memory that a run needs beside its inputs and outputs.
  func scratchBytes(rows: Int) -> Int

  /// - Throws: `GraphError` for numbers that the operator does not allow.
  func run(rows: Int, _ step: borrowing StepRun) throws(GraphError)

  /// For a person.
  var description: String { get }
}

extension StepKernel {
  func scratchBytes(rows: Int) -> Int { 0 }
}

/// A kernel and the places of its operands.
struct ProgramStep: Sendable {
  let name: String
  let kernel: any StepKernel
  let inputs: [Operand?]
  let outputs: [Operand]
  let scratchOffset: Int
}

/// A step while it runs.
///
/// Invariant of the unsafe code: for up to as many rows as the program's block has, the addresses cover what
/// the operands' types say, `scratch` what the kernel has asked for, and no output overlaps an input.
struct StepRun: ~Copyable {
  let step: ProgramStep
  let memory: ProgramMemory

  @inline(__always)
  func floats(_ input: Int) -> UnsafePointer<Float>? {
    guard input < step.inputs.count, let operand = step.inputs[input] else { return nil }
    return UnsafePointer(memory.address(operand.location).assumingMemoryBound(to: Float.self))
  }

  @inline(__always)
  func bytes(_ input: Int) -> UnsafeRawPointer? {
    guard input < step.inputs.count, let operand = step.inputs[input] else { return nil }
    return UnsafeRawPointer(memory.address(operand.location))
  }

  @inline(__always)
  func outputBytes(_ output: Int = 0) -> UnsafeMutableRawPointer {
    memory.address(step.outputs[output].location)
  }

  /// The first output.
  @inline(__always)
  var output: UnsafeMutablePointer<Float> {
    memory.address(step.outputs[0].location).assumingMemoryBound(to: Float.self)
  }

  var scratch: UnsafeMutableRawPointer { memory.arena + step.scratchOffset }
}

/// An operator in its plain form.
struct PlainKernel: StepKernel {
  let operation: any Operator

  func run(rows: Int, _ run: borrowing StepRun) throws(GraphError) {
    var read: [TensorView?] = []
    for input in run.step.inputs {
      guard let input else {
        read.append(nil)
        continue
      }
      read.append(
        TensorView(
          type: try input.type.resolved(rows: rows),
          start: UnsafeRawPointer(run.memory.address(input.location))))
    }
    var written: [MutableTensorView] = []
    for output in run.step.outputs {
      written.append(
        MutableTensorView(
          type: try output.type.resolved(rows: rows), start: run.memory.address(output.location)))
    }
    try operation.compute(read, written)
  }

  var description: String { operation.name }
}
