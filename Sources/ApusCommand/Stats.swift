import ApusClient
import ApusJSON
import ApusWire
import ArgumentParser

struct Stats: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats",
    abstract: "Show a server's counters and the latency of its models.",
    discussion: """
      Everything counts from the start of the server. A total runs from a request's first byte to just \
      before its answer is written; percentiles are at most 1/32 too high.

      Drift compares calls and answers since a version was loaded with the samples that came with it, as \
      population stability indices: below 0.1 nothing has changed, above 0.25 much has. Inputs are named by \
      their place, from 0. Disagreements are rows for which a shadow found another most probable class.

        apus stats --to unix:/run/apus.sock
        apus stats --to unix:/run/apus.sock --model digits --json
      """)

  @OptionGroup var connection: ConnectionOptions

  @Option(help: ArgumentHelp("Show this model only.", valueName: "name"))
  var model = ""

  @Flag(help: "Print one JSON document, with the names of proto/apus.proto.")
  var json = false

  func run() throws {
    let stats = try connection.withClient {
      try $0.stats(model, timeoutNanoseconds: connection.timeoutNanoseconds)
    }
    if json {
      print(stats.json)
    } else {
      if let server = stats.server { printServer(server) }
      printModels(stats.models)
    }
  }

  private func printServer(_ server: ServerStats) {
    var table = Table(["SERVER", server.version])
    table.add(["up", duration(nanoseconds: server.uptimeNanoseconds)])
    table.add(["reactors", "\(server.reactors), BLAS kernels for \(server.blasCore)"])
    table.add(["connections", "\(server.connectionsOpen) open, \(server.connectionsTotal) since the start"])
    table.add(["requests", "\(server.requestsTotal): \(codesText(server.codes))"])
    table.add([
      "bytes", "\(byteSize(server.receivedBytesTotal)) received, \(byteSize(server.sentBytesTotal)) sent",
    ])
    let perRequest = Double(server.systemCallsTotal) / Double(max(server.requestsTotal, 1))
    table.add(["system calls", "\(server.systemCallsTotal), \(formatted(perRequest, "%.2f")) per request"])
    table.add([
      "tensor copies", "\(server.tensorCopiesTotal), \(byteSize(server.tensorCopiedBytesTotal))",
    ])
    table.add([
      "waiting",
      "\(server.sleepsTotal) sleeps, \(server.wakeUpsSavedTotal) saved by "
        + "\(duration(nanoseconds: server.pollingNanosecondsTotal)) of polling, "
        + "\(server.pollsTotal) empty polls",
    ])
    table.add([
      "calls waiting", "\(server.queuedCalls), load \(formatted(Double(server.load), "%.2f")) of 1",
    ])
    let refusals = server.refusals.sorted { ($1.count, $0.reason) < ($0.count, $1.reason) }
    for refusal in refusals { table.add(["refused", "\(refusal.count) \(refusal.reason)"]) }
    table.add(["lanes", "\(server.lanesOpen) open, \(server.laneBellsTotal) bells to their clients"])
    table.add(["protocol errors", String(server.protocolErrorsTotal)])
    table.add([
      "TLS handshakes",
      "\(server.handshakesTotal), \(server.handshakesResumedTotal) of them resumed; "
        + "\(server.handshakeFailuresTotal) failed",
    ])
    table.print()
  }

  private func printModels(_ models: [ModelStats]) {
    guard !models.isEmpty else { return print("\nNo model has counters.") }
    print()
    var calls = Table(
      ["MODEL", "VERSION", "CALLS", "ROWS", "ANSWERS", "BATCHES BY ROWS"], rightAligned: [1, 2, 3])
    var times = Table(
      ["MODEL", "VERSION", "TIME", "P50", "P90", "P99", "P99.9", "MAX"], rightAligned: [1, 3, 4, 5, 6, 7])
    for model in models {
      let batches = model.batches.filter { $0.count > 0 }.map { "≤\($0.rows): \($0.count)" }
      calls.add([
        model.model, String(model.version), String(model.requestsTotal), String(model.rowsTotal),
        codesText(model.codes), batches.joined(separator: ", "),
      ])
      for (name, summary) in [("total", model.total), ("queue", model.queue), ("compute", model.compute)] {
        let quantiles = [
          summary.p50Nanoseconds, summary.p90Nanoseconds, summary.p99Nanoseconds, summary.p999Nanoseconds,
          summary.maximumNanoseconds,
        ]
        times.add(
          [model.model, String(model.version), name]
            + quantiles.map { summary.count == 0 ? "-" : duration(nanoseconds: $0) })
      }
    }
    calls.print()
    print()
    times.print()
    StatsVersions.print(models)
  }

  /// For example `1200 OK, 3 NOT_FOUND`.
  private func codesText(_ codes: [CodeCount]) -> String {
    let texts = codes.filter { $0.count > 0 }.map { answers in
      "\(answers.count) \(StatusCode(rawValue: answers.code)?.name ?? "code \(answers.code)")"
    }
    return texts.isEmpty ? "none" : texts.joined(separator: ", ")
  }
}

// MARK: JSON, with the names of proto/apus.proto

extension StatsResponse {
  fileprivate var json: JSON {
    ["server": server?.json ?? .null, "models": .array(models.map { $0.json })]
  }
}

extension ServerStats {
  fileprivate var json: JSON {
    [
      "version": .string(version), "uptime_ns": .integer(uptimeNanoseconds), "reactors": .integer(reactors),
      "connections_open": .integer(connectionsOpen), "connections_total": .integer(connectionsTotal),
      "requests_total": .integer(requestsTotal), "codes": .array(codes.map { $0.json }),
      "received_bytes_total": .integer(receivedBytesTotal), "sent_bytes_total": .integer(sentBytesTotal),
      "system_calls_total": .integer(systemCallsTotal), "tensor_copies_total": .integer(tensorCopiesTotal),
      "tensor_copied_bytes_total": .integer(tensorCopiedBytesTotal), "polls_total": .integer(pollsTotal),
      "sleeps_total": .integer(sleepsTotal), "protocol_errors_total": .integer(protocolErrorsTotal),
      "blas_core": .string(blasCore), "tls_handshakes_total": .integer(handshakesTotal),
      "tls_handshakes_resumed_total": .integer(handshakesResumedTotal),
      "tls_handshake_failures_total": .integer(handshakeFailuresTotal), "lanes_open": .integer(lanesOpen),
      "lane_bells_total": .integer(laneBellsTotal), "polling_ns_total": .integer(pollingNanosecondsTotal),
      "wakeups_saved_total": .integer(wakeUpsSavedTotal), "queued_calls": .integer(queuedCalls),
      "refusals": .array(refusals.map { ["reason": .string($0.reason), "count": .integer($0.count)] }),
      "load": .number(Double(load)),
    ]
  }
}

extension ModelStats {
  fileprivate var json: JSON {
    [
      "model": .string(model), "version": .integer(version), "requests_total": .integer(requestsTotal),
      "rows_total": .integer(rowsTotal), "codes": .array(codes.map { $0.json }), "total": total.json,
      "queue": queue.json, "compute": compute.json, "batches": .array(batches.map { $0.json }),
      "drift": drift?.json ?? .null, "shadow": shadow?.json ?? .null,
    ]
  }
}

extension CodeCount {
  fileprivate var json: JSON { ["code": .integer(code), "count": .integer(count)] }
}

extension BatchCount {
  fileprivate var json: JSON { ["rows": .integer(rows), "count": .integer(count)] }
}

extension LatencySummary {
  fileprivate var json: JSON {
    [
      "count": .integer(count), "p50_ns": .integer(p50Nanoseconds), "p90_ns": .integer(p90Nanoseconds),
      "p99_ns": .integer(p99Nanoseconds), "p999_ns": .integer(p999Nanoseconds),
      "max_ns": .integer(maximumNanoseconds),
    ]
  }
}
