import ApusClient

/// A result for a person: a bar for each class, and beside them the input where it is an 8x8 image.
struct Report {
  let result: ClassifyResult
  /// The input, as many numbers in each row.
  let values: [Float]
  /// Most classes of a row.
  let top: Int
  let showScores: Bool

  private static let barCells = 30
  private static let side = 8

  func print() {
    for row in 0..<result.rows {
      if result.rows > 1 { Swift.print("row \(row + 1) of \(result.rows)") }
      let bars = bars(row)
      let count = values.count / result.rows
      if count == Self.side * Self.side {
        let drawing = Self.drawing(values[row * count..<(row + 1) * count])
        for line in 0..<max(drawing.count, bars.count) {
          let left = line < drawing.count ? drawing[line] : String(repeating: " ", count: 2 * Self.side)
          Swift.print("  \(left)   \(line < bars.count ? bars[line] : "")")
        }
      } else {
        for bar in bars { Swift.print("  \(bar)") }
      }
      if showScores {
        let scores = result.scores(ofRow: row).map { formatted(Double($0), "%.9g") }
        Swift.print("  scores: \(scores.joined(separator: " "))")
      }
      Swift.print()
    }
  }

  /// A line for each class: label, bar, per cent.
  private func bars(_ row: Int) -> [String] {
    let classes = result.ranked(row).prefix(top).map { (printable($0.label), Double($0.probability)) }
    let width = classes.map(\.0.count).max() ?? 0
    return classes.map { label, probability in
      let padding = String(repeating: " ", count: width - label.count)
      return "\(label)\(padding)  \(Self.bar(probability)) \(formatted(probability * 100, "%6.2f")) %"
    }
  }

  /// A bar of `barCells` cells, drawn to an eighth of a cell.
  static func bar(_ probability: Double) -> String {
    let eighths = Int((min(max(probability, 0), 1) * Double(barCells * 8)).rounded())
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
    let bar = String(repeating: "█", count: eighths / 8) + parts[eighths % 8]
    return bar + String(repeating: " ", count: barCells - bar.count)
  }

  /// Eight lines of an 8x8 image, a pixel two cells wide, so that it looks square; the largest number is full
  /// ink.
  static func drawing(_ pixels: ArraySlice<Float>) -> [String] {
    let shades = ["  ", "░░", "▒▒", "▓▓", "██"]
    let full = max(pixels.max() ?? 0, .leastNormalMagnitude)
    let cells = pixels.map { pixel in
      let ink = min(max(pixel / full, 0), 1) * Float(shades.count - 1)
      return shades[ink.isFinite ? Int(ink.rounded()) : 0]
    }
    return stride(from: 0, to: cells.count, by: side).map { cells[$0..<min($0 + side, cells.count)].joined() }
  }
}
