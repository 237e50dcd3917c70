package import ApusMetrics

/// Everything that `/metrics` tells. docs/metrics.md is made of this table.
package enum Metric: CaseIterable, Sendable {
  case build, reactors, draining, requests, answers, refusals, inFlight, queuedCalls, load,
    authenticationFailures
  case accessLogLines
  case modelRequests, duration, batchRows, modelReady, modelWeights
  case modelState, modelDeprecated, modelTraffic, shadowRows, shadowDisagreements, shadowDropped
  case driftClasses, driftLargestInput, driftRows
  case openConnections, connectionLimit, connections, receivedBytes, sentBytes, protocolErrors
  case handshakes, certificateExpiry
  case tensorCopies, tensorCopiedBytes, systemCalls, polls, pollingSeconds, wakeUpsSaved, laneBells, sleeps
  case asleep, memory
  case cpuSeconds, startTime, residentBytes, virtualBytes, openDescriptors, descriptorLimit, threads

  package struct Row {
    package let family: MetricFamily
    package let labels: [String]

    init(_ name: String, _ kind: MetricFamily.Kind, unit: String = "", _ help: String) {
      self.init(name, kind, unit: unit, [], help)
    }

    init(
      _ name: String, _ kind: MetricFamily.Kind, unit: String = "", _ labels: [String], _ help: String
    ) {
      family = MetricFamily(name, kind, unit: unit, help: help)
      self.labels = labels
    }
  }

  package var row: Row {
    switch self {
    case .build, .reactors, .draining, .requests, .answers, .refusals, .inFlight, .queuedCalls, .load,
      .authenticationFailures,
      .accessLogLines:
      serverRow
    case .modelRequests, .duration, .batchRows, .modelReady, .modelWeights: modelRow
    case .modelState, .modelDeprecated, .modelTraffic, .shadowRows, .shadowDisagreements, .shadowDropped,
      .driftClasses, .driftLargestInput, .driftRows:
      versionRow
    case .openConnections, .connectionLimit, .connections, .receivedBytes, .sentBytes, .protocolErrors,
      .handshakes, .certificateExpiry:
      connectionRow
    case .tensorCopies, .tensorCopiedBytes, .systemCalls, .polls, .pollingSeconds, .wakeUpsSaved, .laneBells,
      .sleeps, .asleep, .memory:
      reactorRow
    default: processRow
    }
  }

  private var versionRow: Row {
    switch self {
    case .modelState:
      Row(
        "apus_model_versions", .gauge, ["model", "state"],
        "Versions of a model, by where they are in their life.")
    case .modelDeprecated:
      Row(
        "apus_model_deprecated", .gauge, ["model", "version"],
        "1 for a version whose callers are told to leave it.")
    case .modelTraffic:
      Row(
        "apus_model_weight_ratio", .gauge, ["model", "version"],
        "Share of the calls without version and alias that a canary gets.")
    case .shadowRows:
      Row(
        "apus_shadow_rows_total", .counter, ["model", "version"],
        "Inputs that another version answered and this one computed as well.")
    case .shadowDisagreements:
      Row(
        "apus_shadow_disagreements_total", .counter, ["model", "version"],
        "Of these, how often another class was the most probable.")
    case .driftClasses:
      Row(
        "apus_model_drift_classes", .gauge, ["model", "version"],
        "How far the predicted classes have moved from the samples', as a population stability index.")
    case .driftLargestInput:
      Row(
        "apus_model_drift_largest_input", .gauge, ["model", "version"],
        "The same of the number of the inputs that has moved the farthest.")
    case .driftRows:
      Row(
        "apus_model_drift_rows_total", .counter, ["model", "version"],
        "Inputs that were looked at for both, one a millisecond and thread at most, or all that are "
          + "mirrored.")
    default:
      Row(
        "apus_shadow_dropped_total", .counter, ["model", "version"],
        "Calls that were not mirrored because too many were waiting.")
    }
  }

  private var serverRow: Row {
    switch self {
    case .build:
      Row(
        "apus_build_info", .info, ["version", "blas_core", "architecture"],
        "The server's version, the kernels that OpenBLAS chose, and the processor's architecture.")
    case .reactors: Row("apus_reactors", .gauge, "Threads that serve and compute.")
    case .draining: Row("apus_draining", .gauge, "1 while the server drains and takes no more calls.")
    case .requests: Row("apus_requests_total", .counter, "Requests of all methods that were read.")
    case .answers: Row("apus_answers_total", .counter, ["code"], "Answers of all methods, by status code.")
    case .refusals:
      Row(
        "apus_refusals_total", .counter, ["reason"],
        "Answers that are a status instead of a result, by the status's reason.")
    case .inFlight:
      Row("apus_requests_in_flight", .gauge, "Requests that were read and are not answered yet.")
    case .queuedCalls:
      Row("apus_queued_calls", .gauge, "Calls that wait to be computed.")
    case .load:
      Row(
        "apus_load", .gauge,
        "Of the work that may wait for workers, how much does: 0 idle, 1 saturated.")
    case .authenticationFailures:
      Row(
        "apus_authentication_failures_total", .counter, ["kind"],
        "Callers whose token or certificate was no good, or who showed none where one is needed.")
    default:
      Row(
        "apus_access_log_lines_total", .counter, ["result"],
        "Calls by whether the access log has a line for them; 0 where it is off.")
    }
  }

  private var modelRow: Row {
    switch self {
    case .modelRequests:
      Row(
        "model_requests_total", .counter, ["model", "version", "code"],
        "Calls of a model's version, by status code.")
    case .duration:
      Row(
        "apus_request_duration_seconds", .histogram, unit: "seconds", ["model", "version", "stage"],
        "Time of calls that got a result, by stage; the stages' sum is the total.")
    case .batchRows:
      Row(
        "apus_batch_rows", .histogram, unit: "rows", ["model", "version"],
        "Rows that were computed together.")
    case .modelReady:
      Row(
        "apus_model_ready", .gauge, ["model", "version"],
        "1 where the version serves, 0 where it could not be loaded.")
    default:
      Row(
        "apus_model_weights_bytes", .gauge, unit: "bytes", ["model", "version"],
        "Memory of the version's weights, in the layouts that its kernels read.")
    }
  }

  private var connectionRow: Row {
    switch self {
    case .openConnections:
      Row("apus_open_connections", .gauge, ["transport"], "Connections that are open.")
    case .connectionLimit:
      Row("apus_open_connections_limit", .gauge, "Connections that each reactor holds at most.")
    case .connections:
      Row("apus_connections_total", .counter, ["transport"], "Connections that were taken.")
    case .receivedBytes:
      Row(
        "apus_received_bytes_total", .counter, unit: "bytes", ["transport"],
        "Bytes received, without what TLS adds.")
    case .sentBytes:
      Row(
        "apus_sent_bytes_total", .counter, unit: "bytes", ["transport"],
        "Bytes sent, without what TLS adds.")
    case .protocolErrors:
      Row(
        "apus_protocol_errors_total", .counter,
        "Connections that were ended because their bytes were no frames or came too slowly.")
    case .handshakes:
      Row(
        "apus_tls_handshakes_total", .counter, ["result"],
        "TLS handshakes: full, resumed from a ticket, or failed.")
    default:
      Row(
        "apus_tls_certificate_expiry_timestamp_seconds", .gauge, unit: "seconds",
        "When the server's certificate expires, in seconds since 1970; absent without TLS.")
    }
  }

  private var reactorRow: Row {
    switch self {
    case .tensorCopies:
      Row("apus_tensor_copies_total", .counter, "Tensors that were moved after they were received.")
    case .tensorCopiedBytes:
      Row("apus_tensor_copied_bytes_total", .counter, unit: "bytes", "Bytes of tensors that were moved.")
    case .systemCalls:
      Row("apus_system_calls_total", .counter, "System calls of the reactors in the path of calls.")
    case .polls: Row("apus_polls_total", .counter, "Looks for a next call that found none.")
    case .pollingSeconds:
      Row(
        "apus_polling_seconds_total", .counter, unit: "seconds",
        "Time for which reactors and HTTP's threads looked for a next call instead of sleeping.")
    case .wakeUpsSaved:
      Row(
        "apus_wakeups_saved_total", .counter,
        "Times that looking found what a sleeper would have been woken for.")
    case .laneBells:
      Row("apus_lane_bells_total", .counter, "Sleeping clients of lanes that were woken, a system call each.")
    case .sleeps: Row("apus_sleeps_total", .counter, "Times that a reactor went to sleep.")
    case .asleep: Row("apus_reactors_asleep", .gauge, "Reactors that sleep now.")
    default:
      Row(
        "apus_memory_bytes", .gauge, unit: "bytes", ["pool"],
        "Memory reserved by what it is for; what was never used takes none of the machine's.")
    }
  }

  /// Names of the Prometheus client libraries (prometheus.io/docs/instrumenting/writing_clientlibs).
  private var processRow: Row {
    switch self {
    case .cpuSeconds:
      Row(
        "process_cpu_seconds_total", .counter, unit: "seconds",
        "Processor time of the whole process, in user and kernel mode.")
    case .startTime:
      Row(
        "process_start_time_seconds", .gauge, unit: "seconds",
        "When the process began, in seconds since 1970.")
    case .residentBytes:
      Row("process_resident_memory_bytes", .gauge, unit: "bytes", "Memory of the machine in use.")
    case .virtualBytes:
      Row("process_virtual_memory_bytes", .gauge, unit: "bytes", "Addresses in use.")
    case .openDescriptors: Row("process_open_fds", .gauge, "File descriptors that are open.")
    case .descriptorLimit: Row("process_max_fds", .gauge, "File descriptors that may be open.")
    default: Row("process_threads", .gauge, "Threads of the process.")
    }
  }
}
