import ApusMetrics
import Testing

/// The two formats, byte for byte.
@Suite struct WriterTests {
  private let requests = MetricFamily("apus_requests_total", .counter, help: "Requests.")
  private let bytes = MetricFamily("apus_sent_bytes_total", .counter, unit: "bytes", help: "Bytes.")
  private let build = MetricFamily("apus_build_info", .info, help: "Build.")
  private let duration = MetricFamily("apus_time_seconds", .histogram, unit: "seconds", help: "Time.")

  private func text(_ format: MetricsFormat, _ write: (inout MetricsWriter) -> Void) -> String {
    var writer = MetricsWriter(format)
    write(&writer)
    return String(decoding: writer.finish(), as: UTF8.self)
  }

  private func samples(_ write: (inout MetricsWriter) -> Void) -> [String] {
    text(.prometheus) { writer in
      writer.begin(requests)
      write(&writer)
    }.split(separator: "\n").dropFirst(2).map(String.init)
  }

  private func write(_ writer: inout MetricsWriter) {
    writer.begin(requests)
    writer.sample(7)
    writer.begin(bytes)
    writer.sample(MetricLabels("transport", "unix"), 12)
    writer.begin(build)
    writer.sample(MetricLabels("version", "0.1.0").with("blas_core", "Zen"), 1)
    writer.begin(duration)
    let bounds = HistogramBounds(nanoseconds: [1000, 2_500_000_000])
    writer.histogram(
      MetricLabels("model", "digits"), bounds, counts: [2, 0, 1], sum: .nanoseconds(3_000_000_700))
  }

  @Test func prometheusText() {
    #expect(
      text(.prometheus, write) == """
        # HELP apus_requests_total Requests.
        # TYPE apus_requests_total counter
        apus_requests_total 7
        # HELP apus_sent_bytes_total Bytes.
        # TYPE apus_sent_bytes_total counter
        apus_sent_bytes_total{transport="unix"} 12
        # HELP apus_build_info Build.
        # TYPE apus_build_info gauge
        apus_build_info{version="0.1.0",blas_core="Zen"} 1
        # HELP apus_time_seconds Time.
        # TYPE apus_time_seconds histogram
        apus_time_seconds_bucket{model="digits",le="1e-06"} 2
        apus_time_seconds_bucket{model="digits",le="2.5"} 2
        apus_time_seconds_bucket{model="digits",le="+Inf"} 3
        apus_time_seconds_sum{model="digits"} 3.0000007
        apus_time_seconds_count{model="digits"} 3

        """)
  }

  @Test func openMetricsText() {
    #expect(
      text(.openMetrics, write) == """
        # TYPE apus_requests counter
        # HELP apus_requests Requests.
        apus_requests_total 7
        # TYPE apus_sent_bytes counter
        # UNIT apus_sent_bytes bytes
        # HELP apus_sent_bytes Bytes.
        apus_sent_bytes_total{transport="unix"} 12
        # TYPE apus_build info
        # HELP apus_build Build.
        apus_build_info{version="0.1.0",blas_core="Zen"} 1
        # TYPE apus_time_seconds histogram
        # UNIT apus_time_seconds seconds
        # HELP apus_time_seconds Time.
        apus_time_seconds_bucket{model="digits",le="1e-06"} 2
        apus_time_seconds_bucket{model="digits",le="2.5"} 2
        apus_time_seconds_bucket{model="digits",le="+Inf"} 3
        apus_time_seconds_sum{model="digits"} 3.0000007
        apus_time_seconds_count{model="digits"} 3
        # EOF

        """)
  }

  @Test(arguments: [
    ("plain", #"plain"#), ("a\"b", #"a\"b"#), (#"a\b"#, #"a\\b"#), ("a\nb", #"a\nb"#),
    ("\\n\n\"", #"\\n\n\""#), ("gr\u{FC}n \u{1F9A2}", "gr\u{FC}n \u{1F9A2}"), ("a,b={}", "a,b={}"), ("", ""),
  ])
  func labelsAreEscaped(_ value: String, _ escaped: String) {
    #expect(samples { $0.sample(MetricLabels("x", value), 1) } == ["apus_requests_total{x=\"\(escaped)\"} 1"])
  }

  @Test func helpIsEscapedAsItsFormatAsks() {
    let family = MetricFamily("x", .gauge, help: "a \"b\" \\ c\nd")
    #expect(text(.prometheus) { $0.begin(family) }.hasPrefix("# HELP x a \"b\" \\\\ c\\nd\n"))
    #expect(text(.openMetrics) { $0.begin(family) }.hasSuffix("# HELP x a \\\"b\\\" \\\\ c\\nd\n# EOF\n"))
  }

  @Test(arguments: [UInt64(0), 1, 9, 10, 99, 100, 12_345_678_901, .max - 1, .max])
  func numbersAreWhole(_ value: UInt64) {
    #expect(samples { $0.sample(value) } == ["apus_requests_total \(value)"])
  }

  @Test(arguments: [
    (UInt64(0), "0"), (1, "0.000000001"), (10, "0.00000001"), (999_999_999, "0.999999999"),
    (1_000_000_000, "1"), (1_500_000_000, "1.5"), (61_020_000_000, "61.02"),
    (UInt64.max, "18446744073.709551615"),
  ])
  func secondsAreExact(_ nanoseconds: UInt64, _ text: String) {
    #expect(samples { $0.sample(nanoseconds: nanoseconds) } == ["apus_requests_total \(text)"])
  }

  /// OpenMetrics' canonical numbers, which its section "Considerations: Canonical Numbers" lists.
  @Test func boundsAreCanonicalNumbers() {
    func labels(_ bounds: HistogramBounds, _ count: Int) -> [String] {
      let zeros = [UInt64](repeating: 0, count: count + 1)
      return samples { $0.histogram(MetricLabels(), bounds, counts: zeros, sum: .number(0)) }
        .compactMap { $0.split(separator: "\"").dropFirst().first.map(String.init) }
    }
    let powers: [UInt64] = (0...10).map { exponent in (0..<exponent).reduce(1) { power, _ in power * 10 } }
    #expect(
      labels(HistogramBounds(nanoseconds: powers), 11) == [
        "1e-09", "1e-08", "1e-07", "1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1.0", "10.0", "+Inf",
      ])
    #expect(
      labels(HistogramBounds(nanoseconds: [2500, 25_000, 250_000, 2_500_000]), 4) == [
        "2.5e-06", "2.5e-05", "0.00025", "0.0025", "+Inf",
      ])
    #expect(labels(HistogramBounds(numbers: [1, 65_536]), 2) == ["1.0", "65536.0", "+Inf"])
  }

  @Test(arguments: [
    ("", MetricsFormat.prometheus), ("*/*", .prometheus), ("text/plain", .prometheus),
    ("application/openmetrics-text", .openMetrics),
    ("application/openmetrics-text; version=1.0.0; charset=utf-8", .openMetrics),
    ("application/openmetrics-text;version=\"1.0.0\"", .openMetrics),
    ("application/openmetrics-text;version=2.0.0", .prometheus),
    ("application/openmetrics-text;q=0", .prometheus),
    ("Application/OpenMetrics-Text;q=0.5,text/plain;q=0.9", .prometheus),
    ("text/plain;q=0.5, application/openmetrics-text;q=0.5", .openMetrics),
    // What Prometheus 2.42 sends.
    (
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
    ),
  ])
  func acceptDecidesTheFormat(_ accept: String, _ format: MetricsFormat) {
    #expect(MetricsFormat(accept: accept) == format)
  }

  @Test func contentTypesNameTheVersions() {
    #expect(MetricsFormat.prometheus.contentType == "text/plain; version=0.0.4; charset=utf-8")
    #expect(
      MetricsFormat.openMetrics.contentType == "application/openmetrics-text; version=1.0.0; charset=utf-8")
  }
}
