import ApusBase

/// What a program takes for batches of each size, and how large a block of rows is best.
package struct ProgramTiming: Equatable, Sendable {
  let blockRows: Int
  let perRow: RowCost

  /// What was measured before.
  init(blockRows: Int, perRow: RowCost) {
    self.blockRows = blockRows
    self.perRow = perRow
  }

  /// Most time for all batches together.
  private static let budgetNanoseconds: UInt64 = 100_000_000
  /// A smaller block must win more than this, or noise would decide.
  private static let blockGain = 1.05
  /// Calls of one row cost so much by themselves that smaller blocks than this gain nothing.
  private static let leastBlock = 8

  init(_ program: Program, head: OutputActivation) {
    let most = program.blockRows
    var sizes = Self.sizes(upTo: most)
    let costs = Self.measure(program, head, &sizes)
    let perRow = zip(sizes, costs).map { $1 / Double($0) }
    var block = perRow.count - 1
    for index in sizes.indices.reversed()
    where sizes[index] >= Self.leastBlock && perRow[index] * Self.blockGain < perRow[block] {
      block = index
    }
    // What was not measured takes, a row, what the largest block takes that was.
    blockRows = block == perRow.count - 1 ? most : sizes[block]
    self.perRow = RowCost(single: perRow[0], inBlock: perRow[block])
  }

  /// What a program's times hang on, as one number: its kernels, their sizes, and the rows of a block.
  static func key(of program: Program) -> UInt64 {
    var hash = FNV1a()
    for number in [program.inputs, program.outputs, program.blockRows, program.arenaBytes] {
      hash.add(String(number))
    }
    for kernel in program.kernelDescriptions { hash.add(kernel) }
    return hash.value
  }

  private static func sizes(upTo most: Int) -> [Int] {
    (0..<Bucket.count).map { Bucket.rows(index: $0) }.filter { $0 <= most }
  }

  /// Nanoseconds of each size; sizes that there is no time to measure are taken out, but the first.
  private static func measure(
    _ program: Program, _ head: OutputActivation, _ sizes: inout [Int]
  ) -> [Double] {
    let most = program.blockRows
    let deadline = Instant.now.advanced(by: budgetNanoseconds)
    let input = AlignedBuffer(byteCount: most * program.inputs * program.inputElement.byteCount)
    let output = AlignedBuffer(byteCount: 4 * most * program.outputs)
    let arena = AlignedBuffer(byteCount: program.arenaBytes)
    var costs: [Double] = []
    for rows in sizes {
      let expected = costs.last.map { $0 * 2 } ?? 0
      guard costs.isEmpty || 2 * expected <= Double(deadline.since(.now)) else { break }
      func once() {
        // Numbers that an operator does not allow end the run early: of a model that refuses zeros less is
        // known.
        try? program.run(
          rows: rows, input: input.baseAddress, output: output.floats, arena: arena.baseAddress)
        head.apply(
          logits: output.floats, logitsStride: program.outputs, rows: rows, columns: program.outputs,
          output: output.floats, outputStride: program.outputs)
      }
      var best = Stopwatch.time(1, once)
      // The first run of all meets weights that no cache holds.
      for _ in 0..<(best < 1e6 ? 3 : best < 5e7 ? 1 : 0) { best = min(best, Stopwatch.time(1, once)) }
      costs.append(best)
    }
    sizes = Array(sizes.prefix(costs.count))
    return costs
  }
}

/// A hash that is the same in every process: FNV-1a (Fowler, Noll and Vo, RFC 9923), of texts that end in a
/// zero.
private struct FNV1a {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ text: String) {
    for byte in text.utf8 { add(byte) }
    add(0)
  }

  private mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
}
