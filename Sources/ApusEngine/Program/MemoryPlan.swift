/// Places in one arena for values that do not live at the same time.
///
/// The largest are placed first, each as low as it fits between those that live with it ("greedy by size",
/// Pisarchyk and Lee, arXiv:2001.03288): close to the least that is possible, and quick.
struct MemoryPlan {
  /// A value: so many bytes, written by the step `first` and read for the last time by the step `last`.
  struct Request {
    let byteCount: Int
    let first: Int
    let last: Int
  }

  /// Where each request lies: multiples of 64.
  let offsets: [Int]
  let byteCount: Int

  init(_ requests: [Request]) {
    var offsets = [Int](repeating: 0, count: requests.count)
    // By offset.
    var placed: [(range: Range<Int>, request: Request)] = []
    var end = 0
    let order = requests.indices.sorted {
      (requests[$1].byteCount, $0) < (requests[$0].byteCount, $1)
    }
    for index in order {
      let request = requests[index]
      let length = (request.byteCount + 63) & ~63
      var offset = 0
      for other in placed where other.request.first <= request.last && request.first <= other.request.last {
        if offset + length <= other.range.lowerBound { break }
        offset = max(offset, other.range.upperBound)
      }
      offsets[index] = offset
      let place = placed.firstIndex { $0.range.lowerBound > offset } ?? placed.endIndex
      placed.insert((offset..<offset + length, request), at: place)
      end = max(end, offset + length)
    }
    self.offsets = offsets
    byteCount = end
  }
}
