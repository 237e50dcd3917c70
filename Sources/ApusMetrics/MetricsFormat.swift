/// The two texts that Prometheus and its like read.
package enum MetricsFormat: CaseIterable, Sendable {
  /// Version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
  case prometheus
  /// Version 1.0.0 (prometheus.io/docs/specs/om/open_metrics_spec).
  case openMetrics

  /// What HTTP's `Content-Type` says.
  package var contentType: String {
    switch self {
    case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    }
  }

  /// What a client asks for by HTTP's `Accept` (RFC 9110, section 12.5.1): OpenMetrics where it is named and
  /// wanted no less than plain text; otherwise the older format, which everyone reads.
  package init(accept: String) {
    var openMetrics = 0.0
    var plain = 0.0
    for range in accept.split(separator: ",") {
      let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
      let version = Self.parameter("version", parts)
      let quality = Self.parameter("q", parts).map { Double($0) ?? 0 } ?? 1
      if parts.first == "application/openmetrics-text", version ?? "1.0.0" == "1.0.0" {
        openMetrics = max(openMetrics, quality)
      } else if parts.first == "text/plain" {
        plain = max(plain, quality)
      }
    }
    self = openMetrics > 0 && openMetrics >= plain ? .openMetrics : .prometheus
  }

  private static func parameter(_ name: String, _ parts: [String]) -> String? {
    for part in parts.dropFirst() where part.hasPrefix(name + "=") {
      return part.dropFirst(name.count + 1).filter { $0 != "\"" }
    }
    return nil
  }
}
