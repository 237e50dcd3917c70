import ApusBase

/// Keeps a buffer alive for a kernel: an array may not hold noncopyable values.
final class BufferOwner: Sendable {
  private let buffer: AlignedBuffer

  /// Zeroed memory for at least one float, all of which is going to be filled.
  init(floatCount: Int) {
    buffer = AlignedBuffer(byteCount: floatCount * MemoryLayout<Float>.stride)
    buffer.preferLargePages()
  }

  /// A copy of a row-major matrix with rows and columns exchanged, tile by tile so that both sides stay in
  /// cache.
  convenience init(transposing values: UnsafePointer<Float>, rows: Int, columns: Int) {
    self.init(floatCount: rows * columns)
    let tile = 32
    let target = floats
    for firstRow in stride(from: 0, to: rows, by: tile) {
      for firstColumn in stride(from: 0, to: columns, by: tile) {
        for row in firstRow..<min(firstRow + tile, rows) {
          for column in firstColumn..<min(firstColumn + tile, columns) {
            target[column * rows + row] = values[row * columns + column]
          }
        }
      }
    }
  }

  var floats: UnsafeMutablePointer<Float> { buffer.floats }

  var byteCount: Int { buffer.bytes.count }
}
