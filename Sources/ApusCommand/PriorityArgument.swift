import ApusClient
import ArgumentParser

/// What `--priority` takes.
enum PriorityArgument: String, CaseIterable, Sendable, ExpressibleByArgument {
  case interactive, batch

  func apply(to call: inout ClassifyCall) { call.priority = .init(rawValue: rawValue) }
}
