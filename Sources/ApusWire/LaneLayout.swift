/// Where a ring lies in a lane's memory.
package struct RingPlace: Equatable, Sendable {
  /// Of its words, in bytes from the start of the memory.
  package let controlOffset: Int
  /// Of its bytes, likewise.
  package let dataOffset: Int
  /// A power of two.
  package let byteCount: Int

  package init(controlOffset: Int, dataOffset: Int, byteCount: Int) {
    self.controlOffset = controlOffset
    self.dataOffset = dataOffset
    self.byteCount = byteCount
  }

  /// Whether words and bytes lie in a memory of so many bytes, aligned, as a lane needs them.
  fileprivate func lies(in memoryBytes: Int) -> Bool {
    byteCount >= LaneLayout.leastRingBytes && byteCount <= LaneLayout.mostRingBytes
      && byteCount & (byteCount - 1) == 0 && controlOffset >= 0 && dataOffset >= 0 && controlOffset % 64 == 0
      && dataOffset % 64 == 0 && controlOffset <= memoryBytes - LaneLayout.controlBytes
      && dataOffset <= memoryBytes - byteCount
  }
}

/// The two rings of a lane.
package struct LaneLayout: Equatable, Sendable {
  package let requests: RingPlace
  package let answers: RingPlace
  package let memoryBytes: Int

  /// The number of this arrangement of a ring's words.
  package static let version: UInt32 = 1
  /// Bytes of the words of a ring.
  package static let controlBytes = 512
  package static let leastRingBytes = 4096
  package static let mostRingBytes = 64 << 20

  package init(requests: RingPlace, answers: RingPlace, memoryBytes: Int) {
    self.requests = requests
    self.answers = answers
    self.memoryBytes = memoryBytes
  }

  /// A page of words and the rings behind it.
  ///
  /// - Parameters: bytes of each ring, powers of two from `leastRingBytes` to `mostRingBytes`.
  package init(requestBytes: Int, answerBytes: Int) {
    requests = RingPlace(controlOffset: 1024, dataOffset: 4096, byteCount: requestBytes)
    answers = RingPlace(controlOffset: 2048, dataOffset: 4096 + requestBytes, byteCount: answerBytes)
    memoryBytes = 4096 + requestBytes + answerBytes
  }

  /// The ring for so many bytes at least, as far as there may be such: the next power of two.
  package static func ringBytes(atLeast wanted: UInt64, atMost limit: Int) -> Int {
    var byteCount = leastRingBytes
    while UInt64(byteCount) < wanted, byteCount * 2 <= min(limit, mostRingBytes) { byteCount *= 2 }
    return byteCount
  }

  package var isValid: Bool {
    memoryBytes > 0 && requests.lies(in: memoryBytes) && answers.lies(in: memoryBytes)
  }
}
