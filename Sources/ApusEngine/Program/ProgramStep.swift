/// Where a value of a program lies while it runs.
struct Place: Sendable {
  enum Base: UInt8 {
    case arena, constant
    /// Where the caller has put his rows.
    case input
    /// Where the caller wants his.
    case output
    /// Of an input that is left out.
    case nowhere
  }

  let base: Base
  /// In bytes; of a constant, its address.
  let offset: Int

  static let nowhere = Place(base: .nowhere, offset: 0)
}

/// What a run of a program reads and writes beside its constants.
struct ProgramMemory {
  let arena: UnsafeMutableRawPointer
  let input: UnsafeRawPointer
  let output: UnsafeMutableRawPointer
  /// Elements from one row to the next.
  let inputStride: Int
  let outputStride: Int

  @inline(__always)
  func address(_ place: Place) -> UnsafeMutableRawPointer? {
    switch place.base {
    case .arena: arena + place.offset
    case .constant: UnsafeMutableRawPointer(bitPattern: place.offset)
    case .input: UnsafeMutableRawPointer(mutating: input)
    case .output: output
    case .nowhere: nil
    }
  }
}

/// What a step computes, for one node's types.
protocol StepKernel: Sendable {
  /// Bytes of memory that a run needs beside its inputs and outputs.
  func scratchBytes(rows: Int) -> Int

  /// - Throws: `GraphError` for numbers that the operator does not allow.
  func run(rows: Int, _ step: borrowing StepRun) throws(GraphError)

  /// For a person.
  var description: String { get }

  /// Whether a run reads this input: not where a kernel keeps a constant in a form of its own.
  func reads(_ input: Int) -> Bool

  /// Whether the rows of its first input and of its output may lie apart, as `StepRun` tells.
  var takesStrides: Bool { get }

  /// Whether its inputs may change while it runs: their numbers go into arithmetic alone, and never say what
  /// is read or written.
  var toleratesChanges: Bool { get }

  /// Bytes of constants in a form of its own.
  var ownBytes: Int { get }
}

extension StepKernel {
  func scratchBytes(rows: Int) -> Int { 0 }
  func reads(_ input: Int) -> Bool { true }
  var takesStrides: Bool { false }
  var toleratesChanges: Bool { false }
  var ownBytes: Int { 0 }
}

/// A kernel and the places of its operands.
final class ProgramStep: Sendable {
  let name: String
  let kernel: any StepKernel
  let inputs: [Place]
  let outputs: [Place]
  let scratchOffset: Int

  init(name: String, kernel: any StepKernel, inputs: [Place], outputs: [Place], scratchOffset: Int) {
    self.name = name
    self.kernel = kernel
    self.inputs = inputs
    self.outputs = outputs
    self.scratchOffset = scratchOffset
  }
}

/// A step while it runs.
///
/// Invariant of the unsafe code: for up to as many rows as the program's block has, the addresses cover what
/// the operands' types say, `scratch` what the kernel has asked for, and no output overlaps an input.
struct StepRun: ~Copyable {
  let step: ProgramStep
  let memory: ProgramMemory

  /// nil for an input that is left out.
  @inline(__always)
  func address(_ input: Int) -> UnsafeRawPointer? {
    guard input < step.inputs.count else { return nil }
    return memory.address(step.inputs[input]).map { UnsafeRawPointer($0) }
  }

  @inline(__always)
  func floats(_ input: Int) -> UnsafePointer<Float>? {
    address(input)?.assumingMemoryBound(to: Float.self)
  }

  @inline(__always)
  func outputAddress(_ index: Int) -> UnsafeMutableRawPointer {
    memory.address(step.outputs[index]).unsafelyUnwrapped
  }

  /// The first output.
  @inline(__always)
  var output: UnsafeMutablePointer<Float> { outputAddress(0).assumingMemoryBound(to: Float.self) }

  /// Elements from one row of the first input to the next, where these are `width` wide.
  @inline(__always)
  func inputStride(width: Int) -> Int { step.inputs[0].base == .input ? memory.inputStride : width }

  /// Elements from one row of the first output to the next, where these are `width` wide.
  @inline(__always)
  func outputStride(width: Int) -> Int { step.outputs[0].base == .output ? memory.outputStride : width }

  var scratch: UnsafeMutableRawPointer { memory.arena + step.scratchOffset }
}

/// An operator in its plain form.
struct PlainKernel: StepKernel {
  let operation: any Operator
  let inputs: [BatchType?]
  let outputs: [BatchType]

  func run(rows: Int, _ run: borrowing StepRun) throws(GraphError) {
    var read: [TensorView?] = []
    for (index, type) in inputs.enumerated() {
      guard let type, let start = run.address(index) else {
        read.append(nil)
        continue
      }
      read.append(TensorView(type: try type.resolved(rows: rows), start: start))
    }
    var written: [MutableTensorView] = []
    for (index, type) in outputs.enumerated() {
      written.append(MutableTensorView(type: try type.resolved(rows: rows), start: run.outputAddress(index)))
    }
    try operation.compute(read, written)
  }

  var description: String { operation.name }
}
