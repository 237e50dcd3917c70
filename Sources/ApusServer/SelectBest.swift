/// The `most` largest of `count` numbers, largest first; equal ones by index, NaN last.
func selectBest(
  _ values: UnsafePointer<Float>, count: Int, into best: UnsafeMutablePointer<Float>,
  _ indices: UnsafeMutablePointer<UInt32>, most: Int
) {
  var kept = 0
  for index in 0..<count {
    let value = values[index]
    if kept == most, !(value > best[most - 1]) && !best[most - 1].isNaN { continue }
    if kept == most, value.isNaN { continue }
    var place = kept < most ? kept : most - 1
    while place > 0, value > best[place - 1] || (best[place - 1].isNaN && !value.isNaN) {
      best[place] = best[place - 1]
      indices[place] = indices[place - 1]
      place -= 1
    }
    best[place] = value
    indices[place] = UInt32(index)
    if kept < most { kept += 1 }
  }
}
