import ApusBase
import ApusIO

/// A client for many tasks: calls are in flight side by side on one connection, which one thread serves and,
/// when it is lost, makes again.
///
/// ```swift
/// let client = try ApusClient("unix:/run/apus.sock")
/// let result = try await client.classify("digits", pixels, top: 3)
/// print(result.prediction().label)
/// ```
public final class ApusClient: Sendable {
  let core: ClientCore
  private let thread: Locked<Thread?>

  /// Makes a client. The connection is made with the first call.
  ///
  /// - Parameters:
  ///   - address: `unix:PATH`, `shm:PATH`, `tcp://HOST:PORT` or `tls://HOST:PORT`.
  ///   - options: time-outs, attempts, and whom to trust.
  /// - Throws: `invalidInput` for a text that is no address, `connectionFailed` when the system has no more
  ///   descriptors or threads.
  public init(_ address: String, options: ClientOptions = ClientOptions()) throws(ClientError) {
    let parsed: Address
    do { parsed = try Address(address) } catch { throw .invalidInput(error.description) }
    let security = try ClientSecurity(parsed, options.security)
    do throws(SystemError) {
      let core = try ClientCore(parsed, security, options)
      self.core = core
      let loop = ClientLoopStart(core: core)
      thread = Locked(try Thread(name: "apus-client") { loop.run() })
    } catch { throw .connectionFailed(error.description) }
  }

  deinit { close() }

  /// Classifies one input of 32-bit floats.
  ///
  /// - Parameters:
  ///   - model: name of the model.
  ///   - input: the numbers.
  ///   - top: how many classes to answer, the likeliest first; 0: every class, in index order.
  ///   - timeout: how long to wait for the answer.
  ///   - traceParent: W3C `traceparent`, the trace that the call belongs to.
  /// - Throws: `ClientError`; `cancelled` when the task is.
  public func classify(
    _ model: String, _ input: [Float], top: Int = 0, timeout: Duration? = nil, traceParent: String = ""
  ) async throws(ClientError) -> ClassifyResult {
    var call = ClassifyCall(model, top: top, traceParent: traceParent)
    call.wantLabels = true
    if let timeout { call.timeoutNanoseconds = timeout.wholeNanoseconds }
    return try await classify(input, call)
  }

  /// Classifies 32-bit floats, one row or as many as the call's shape says.
  public func classify(_ input: [Float], _ call: ClassifyCall) async throws(ClientError) -> ClassifyResult {
    guard call.elementType == .float32 else {
      throw .invalidInput("the call says \(call.elementType), its input is float32")
    }
    return try await classify(.floats(input), call)
  }

  /// Classifies numbers of the call's element type, row-major and little-endian.
  public func classify(bytes: [UInt8], _ call: ClassifyCall) async throws(ClientError) -> ClassifyResult {
    try await classify(.bytes(bytes), call)
  }

  private func classify(
    _ input: CallInput, _ call: ClassifyCall
  ) async throws(ClientError) -> ClassifyResult {
    let core = core
    let token = core.newToken()
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        core.enqueue(PendingCall(token: token, call: call, input: input, continuation: continuation))
      }
    } onCancel: {
      core.cancel(token)
    }
    return try result.get()
  }

  /// Ends the connection and the thread. Calls in flight fail with `closed`. More than once is allowed. An
  /// attempt to connect is waited for.
  public func close() {
    core.close()
    if let thread = thread.withLock({ $0.take() }) { thread.join() }
  }
}

extension Duration {
  /// Nanoseconds, at least 1 and at most what 64 bits hold, so that a time that has passed is no missing
  /// limit.
  var wholeNanoseconds: UInt64 {
    guard self > .zero else { return 1 }
    let (seconds, attoseconds) = components
    let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflowOfSum) = whole.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
    return overflow || overflowOfSum ? .max : max(1, sum)
  }
}
