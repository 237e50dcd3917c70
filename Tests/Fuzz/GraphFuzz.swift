import ApusBase
import ApusEngine
import ApusFormats

// What the fuzz targets of graphs do with a file that is read.

/// A tensor's memory is there, aligned, and within what the file allows.
func check(_ tensor: Tensor, limit: Int) {
  precondition(tensor.type.byteCount <= limit, "a tensor larger than its file allows")
  precondition(
    Int(bitPattern: tensor.start) % tensor.type.element.byteCount == 0, "a tensor that is not aligned")
  let bytes = UnsafeRawBufferPointer(start: tensor.start, count: tensor.type.byteCount)
  sum = bytes.reduce(sum, &+)
}

func read(_ body: () throws(FormatError) -> Void) {
  do { try body() } catch {
    let message = error.description
    precondition(!message.isEmpty && !message.contains("\n"), "a message of one line")
  }
}

/// Keeps bytes that are there anyway.
final class Nobody: Sendable { static let shared = Nobody() }

func check(_ graph: Graph, limit: Int) {
  for value in graph.values {
    if let constant = value.constant { check(constant, limit: limit) }
  }
}

/// Makes a program of a graph of one small input, in its plain form, and runs it on zeros.
func run(_ graph: Graph) {
  guard graph.inputs.count == 1, let elements = elements(graph.inputs[0].shape), elements <= 1 << 12,
    graph.nodes.count <= 64, let program = try? Program(plainly: graph), program.arenaBytes <= 64 << 20
  else { return }
  let rows = program.blockRows
  guard program.inputs <= (1 << 20) / rows, program.outputs <= (1 << 20) / rows else { return }
  let arena = AlignedBuffer(byteCount: program.arenaBytes)
  let input = AlignedBuffer(byteCount: rows * program.inputs * program.inputElement.byteCount)
  let output = AlignedBuffer(byteCount: rows * program.outputs * MemoryLayout<Float>.size)
  // What a program refuses of numbers is no concern here; that it writes no further is the sanitizer's.
  try? program.run(
    rows: rows, input: input.baseAddress,
    output: output.baseAddress.bindMemory(to: Float.self, capacity: rows * program.outputs),
    arena: arena.baseAddress)
}

/// The product of the sizes that are not open; nil where it is too large to be counted.
private func elements(_ shape: [Int?]) -> Int? {
  var product = 1
  for size in shape {
    let (next, overflow) = product.multipliedReportingOverflow(by: size ?? 1)
    if overflow { return nil }
    product = next
  }
  return product
}

/// Every byte is read into this.
nonisolated(unsafe) var sum: UInt8 = 0
