import ApusWire

/// When a canary is over: its share of the calls then goes back to the version that `latest` means. Without a
/// bound on errors or latency nothing is judged.
public struct CanaryBounds: Equatable, Sendable {
  /// Most of its calls, in per cent, that may fail above the share of the other version's; nil: no bound.
  public var maximumErrorPercent: Double?
  /// Most that its 99th percentile may be, as a multiple of the other version's; nil: no bound.
  public var maximumLatencyRatio: Double?
  /// Over which both are looked at.
  public var window = Duration.seconds(60)
  /// Calls of the canary in the window before it is judged.
  public var minimumCalls = 100

  public init() {}

  /// - Throws: `invalidInput` for what is no share, no ratio, no time or no count, and where there is no
  ///   bound.
  func message() throws(ClientError) -> TrafficBounds {
    var bounds = TrafficBounds()
    if let maximumErrorPercent {
      bounds.maximumErrors = try tenThousandths(maximumErrorPercent, "the bound of errors")
      guard bounds.maximumErrors > 0 else { throw .invalidInput("a bound of 0 % of errors would be none") }
    }
    if let maximumLatencyRatio {
      guard maximumLatencyRatio > 0, maximumLatencyRatio.isFinite else {
        throw .invalidInput("a ratio of latencies is above 0, for example 1.5, not \(maximumLatencyRatio)")
      }
      bounds.maximumLatencyRatio = maximumLatencyRatio
    }
    guard bounds.maximumErrors > 0 || bounds.maximumLatencyRatio > 0 else {
      throw .invalidInput("bounds need one of errors or of latency")
    }
    guard window > .zero else { throw .invalidInput("a window is longer than \(window)") }
    bounds.windowNanoseconds = window.wholeNanoseconds
    guard minimumCalls > 0, let calls = UInt32(exactly: minimumCalls) else {
      throw .invalidInput("\(minimumCalls) is no number of calls to judge by")
    }
    bounds.minimumCalls = calls
    return bounds
  }
}

/// Per cent in the steps that are sent.
func tenThousandths(_ percent: Double, _ name: String) throws(ClientError) -> UInt32 {
  guard let share = SetTrafficRequest.share(percent: percent) else {
    throw .invalidInput("\(name) is per cent, 0 to 100, in steps of 0.01, not \(percent)")
  }
  return share
}
