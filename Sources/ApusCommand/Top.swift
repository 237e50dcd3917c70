import ApusClient
import ApusIO
import ApusJSON
import ApusWire
import ArgumentParser
import CLinux
import Glibc

struct Top: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "Show live what a server does: calls, errors and latency by model.",
    discussion: """
      Rates and percentiles are those of the last interval, the busiest model first; percentiles are at most \
      1/32 too high. q or Ctrl-C ends it. Without a terminal a block of text is printed for each interval:

        apus top --to unix:/run/apus.sock
        apus top --to unix:/run/apus.sock --interval 5 --once --json
      """)

  @OptionGroup var connection: ConnectionOptions

  @Option(help: ArgumentHelp("Seconds between two looks, 0.1 or more.", valueName: "s"))
  var interval = 1.0

  @Flag(help: "Print one interval and end.")
  var once = false

  @Flag(help: "Print a JSON document for each interval, one a line.")
  var json = false

  func validate() throws {
    guard interval >= 0.1, interval <= 86_400 else {
      throw ValidationError("--interval takes seconds, from 0.1 to 86400")
    }
  }

  func run() throws {
    try connection.withClient { client in
      // The first look fails at once where there is no server or no right to look.
      let first = try look(client)
      if !once, !json, let screen = TerminalScreen() {
        live(client, screen, first)
      } else {
        try plain(client, first)
      }
    }
  }

  private func look(_ client: SynchronousClient) throws(ClientError) -> StatsResponse {
    try client.stats("", wantBuckets: true, timeoutNanoseconds: connection.timeoutNanoseconds)
  }

  private var milliseconds: Int32 { Int32(interval * 1000) }

  private func plain(_ client: SynchronousClient, _ first: StatsResponse) throws {
    var before = first
    repeat {
      _ = poll(nil, 0, milliseconds)
      let now = try look(client)
      let interval = TopInterval(now, since: before)
      before = now
      if json {
        print(interval.json)
      } else {
        let lines = TopScreen(address: connection.address, interval: interval).lines(width: 1000, height: nil)
        print(lines.joined(separator: "\n") + (once ? "" : "\n"))
      }
      // Whoever reads a pipe wants it now.
      fflush(nil)
    } while !once
  }

  /// Draws until q. A server that is gone is looked for again.
  private func live(_ client: SynchronousClient, _ screen: TerminalScreen, _ first: StatsResponse) {
    var screen = screen
    defer { screen.leave() }
    var before = first
    var view = TopScreen(address: connection.address, interval: TopInterval(first, since: nil))
    var next = clinux_monotonic_ns() + UInt64(interval * 1e9)
    while true {
      let size = screen.size
      screen.show(view.lines(width: size.width, height: size.height), highlighted: TopScreen.headingLine)
      let now = clinux_monotonic_ns()
      switch screen.wait(milliseconds: Int32(next > now ? (next - now + 999_999) / 1_000_000 : 0)) {
      case .quit: return
      case .resized: continue
      case .time: next = clinux_monotonic_ns() + UInt64(interval * 1e9)
      }
      do throws(ClientError) {
        let now = try look(client)
        view = TopScreen(address: connection.address, interval: TopInterval(now, since: before))
        before = now
      } catch { view.problem = "\(connection.address): \(error)" }
    }
  }
}
