import ApusClient
import ApusWire
import ArgumentParser

struct ModelWeight: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "weight",
    abstract: "Send a share of a model's calls to one version; 0 ends it.",
    discussion: """
      With bounds the share goes back when the version does worse than the one that the others go to:

        apus model weight digits@3 5 --max-errors 1 --max-latency-ratio 1.5 --to unix:/run/apus.sock
      """)

  @Argument(help: "NAME@VERSION.") var version: String
  @Argument(help: "Per cent of the calls without version, 0 to 100.") var percent: Double

  @Option(
    help: ArgumentHelp(
      "Most calls, in per cent, that may fail above the other version's.", valueName: "percent"))
  var maxErrors: Double?

  @Option(
    help: ArgumentHelp(
      "Most that its 99th percentile may be, as a multiple of the other version's.", valueName: "ratio"))
  var maxLatencyRatio: Double?

  @Option(help: ArgumentHelp("Seconds over which both are looked at. Default: 60.", valueName: "s"))
  var window: Double?

  @Option(help: ArgumentHelp("Calls before it is judged. Default: 100.", valueName: "number"))
  var minCalls: UInt32?

  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try request() }

  func request() throws(ValidationError) -> SetTrafficRequest {
    let reference = try versionReference(version)
    return SetTrafficRequest(
      model: reference.name, version: reference.version, weight: try share(percent, "PERCENT"),
      bounds: try bounds())
  }

  private func bounds() throws(ValidationError) -> TrafficBounds? {
    var bounds = TrafficBounds()
    if let maxErrors {
      guard maxErrors > 0 else {
        throw ValidationError("--max-errors takes per cent, more than 0: without it errors are not looked at")
      }
      bounds.maximumErrors = try share(maxErrors, "--max-errors")
    }
    if let maxLatencyRatio {
      guard maxLatencyRatio > 0, maxLatencyRatio <= 1e6 else {
        throw ValidationError("--max-latency-ratio takes a number above 0, for example 1.5")
      }
      bounds.maximumLatencyRatio = maxLatencyRatio
    }
    if let window {
      guard window > 0, window <= 86_400 else {
        throw ValidationError("--window takes seconds, more than 0 and at most a day's 86400")
      }
      bounds.windowNanoseconds = UInt64(window * 1e9)
    }
    bounds.minimumCalls = minCalls ?? 0
    if bounds.maximumErrors == 0, bounds.maximumLatencyRatio == 0 {
      guard window == nil, minCalls == nil else {
        throw ValidationError("--window and --min-calls need --max-errors or --max-latency-ratio")
      }
      return nil
    }
    return bounds
  }

  /// Per cent as ten-thousandths.
  private func share(_ percent: Double, _ name: String) throws(ValidationError) -> UInt32 {
    guard let share = SetTrafficRequest.share(percent: percent) else {
      throw ValidationError("\(name) takes per cent, 0 to 100, in steps of 0.01")
    }
    return share
  }

  func run() throws {
    let request = try request()
    try options.act { try $0.setTraffic(request, timeoutNanoseconds: options.timeout) }
  }
}

struct ModelShadow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shadow",
    abstract: "Let a version compute a model's calls as well, and count where it disagrees.")

  @Argument(help: "NAME@VERSION.") var version: String
  @Flag(help: "No longer.") var off = false
  @OptionGroup var options: AdministrationOptions

  func validate() throws { _ = try request() }

  func request() throws(ValidationError) -> SetTrafficRequest {
    let reference = try versionReference(version)
    return SetTrafficRequest(
      model: reference.name, version: reference.version,
      weight: off ? 0 : SetTrafficRequest.wholeWeight, shadow: true)
  }

  func run() throws {
    let request = try request()
    try options.act { try $0.setTraffic(request, timeoutNanoseconds: options.timeout) }
  }
}
