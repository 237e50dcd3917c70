import ApusBase
import ApusClient
import ApusIO
import ApusWire
import Foundation
import Glibc
import Synchronization
import Testing

/// The start and the end of a server, its socket file, and the folder of models it is given.
@Suite struct LifecycleTests {
  private func mode(_ path: String) -> mode_t? {
    var information = stat()
    return lstat(path, &information) == 0 ? information.st_mode : nil
  }

  // MARK: The socket file

  @Test func socketIsForItsUserAndGroup() throws {
    let server = try ServerProcess()
    #expect(mode(server.socket) == S_IFSOCK | 0o660)
  }

  @Test func staleSocketFileIsReplaced() throws {
    let folder = try ModelFolder()
    let socket = folder.path + "/s"
    let killed = try ServerProcess(socket: socket)
    killed.signal(SIGKILL)
    _ = killed.exitStatus()
    try #require(mode(socket) != nil, "a killed server leaves its file")
    let server = try ServerProcess(socket: socket)
    try FaultTests.expectServing(server.unix)
  }

  @Test func socketOfALiveServerIsLeftAlone() throws {
    let server = try ServerProcess()
    let folder = try ModelFolder()
    let second = try run(["serve", "--models", folder.path, "--listen", server.unix])
    #expect(second.status == 1)
    #expect(second.error.contains("\(server.unix), where a server is running"), "\(second.error)")
    #expect(second.error.split(separator: "\n").count == 1, "\(second.error)")
    try FaultTests.expectServing(server.unix)
  }

  @Test func fileThatIsNoSocketIsLeftAlone() throws {
    let folder = try ModelFolder().write("s", Data("precious".utf8))
    let server = try run(["serve", "--models", folder.path, "--listen", "unix:\(folder.path)/s"])
    #expect(server.status == 1 && server.error.contains("no socket"), "\(server.error)")
    #expect(try String(contentsOfFile: folder.path + "/s", encoding: .utf8) == "precious")
  }

  /// A server that is replaced while it drains must not take its successor's socket file with it.
  @Test func successorKeepsItsSocketFile() throws {
    let folder = try ModelFolder()
    let socket = folder.path + "/s"
    let old = try ServerProcess(socket: socket)
    // A client that does not close keeps the old server draining for a while.
    let idle = try RawConnection(old.unix)
    idle.send(classifyFrame(1, "textclassifier", FaultTests.text))
    _ = try idle.answer()
    old.signal(SIGTERM)
    #expect(waitUntil(seconds: 5) { mode(socket) == nil })
    let new = try ServerProcess(socket: socket)
    #expect(old.exitStatus() == 0)
    #expect(mode(socket) != nil, "the old server removed the new one's socket file")
    try FaultTests.expectServing(new.unix)
  }

  // MARK: Drain

  @Test func drainUnderLoadLosesNothing() throws {
    let server = try ServerProcess(overTCP: true)
    let reports = Locked<[DrainReport]>([])
    let threads = (0..<6).map { index in
      let address = index % 2 == 0 ? server.unix : server.tcp
      return Foundation.Thread {
        let report = DrainReport.load(address)
        reports.withLock { $0.append(report) }
      }
    }
    for thread in threads { thread.start() }
    usleep(400_000)
    server.signal(SIGTERM)
    #expect(server.exitStatus() == 0)
    #expect(waitUntil(seconds: 10) { reports.withLock { $0.count } == threads.count })
    for report in reports.withLock({ $0 }) {
      #expect(report.failure == nil)
      #expect(report.answered > 100 && report.lost == 0 && report.wrong == 0, "\(report)")
    }
  }

  /// What a client saw that sent without pause until it was told to go away, and then waited for what it had
  /// sent.
  struct DrainReport: Sendable {
    var answered = 0
    var notProcessed = 0
    var wrong = 0
    var lost = 0
    var failure: String?

    static func load(_ address: String) -> DrainReport {
      var report = DrainReport()
      var inFlight = 0
      do {
        var connection = try ClientConnection.open(try Address(address))
        let call = ClassifyCall("textclassifier")
        while connection.goAwayReason == nil || inFlight > 0 {
          while connection.goAwayReason == nil, inFlight < 256 {
            guard try FaultTests.text.withUnsafeBytes({ try connection.submit(call, $0) }) != nil else {
              break
            }
            inFlight += 1
          }
          _ = connection.sendSome()
          guard let view = try connection.receive(until: .now.advanced(by: 5_000_000_000)) else { break }
          inFlight -= 1
          if !view.isStatus {
            report.answered += 1
          } else if connection.status(view).reason == "NOT_PROCESSED" {
            report.notProcessed += 1
          } else {
            report.wrong += 1
          }
        }
      } catch { report.failure = "\(error)" }
      report.lost = inFlight
      return report
    }
  }

  /// Who had connected when the server was told to end gets an answer or a goaway, whichever thread was to
  /// serve it.
  @Test func drainWhileClientsConnectLosesNobody() throws {
    let server = try ServerProcess(arguments: ["--threads", "3"])
    let outcomes = Locked<[String: Int]>([:])
    let running = Atomic<Int>(4)
    let address = server.unix
    for _ in 0..<4 {
      Foundation.Thread.detachNewThread {
        while let connection = try? RawConnection(address) {
          connection.send(classifyFrame(1, "textclassifier", FaultTests.text))
          let answer = Result { try connection.answer() }
          let outcome =
            switch answer {
            case .success(let answer?): answer.isGoaway ? "goaway" : answer.status?.reason ?? "OK"
            case .success(nil): "ended without a word"
            case .failure(let error): "\(error)"
            }
          outcomes.withLock { $0[outcome, default: 0] += 1 }
        }
        running.subtract(1, ordering: .relaxed)
      }
    }
    usleep(200_000)
    server.signal(SIGTERM)
    #expect(server.exitStatus() == 0)
    #expect(waitUntil(seconds: 10) { running.load(ordering: .relaxed) == 0 })
    let found = outcomes.withLock { $0 }
    #expect(found["OK", default: 0] > 100 && Set(found.keys).isSubset(of: ["OK", "goaway"]), "\(found)")
  }

  /// A call that was on its way when the server was told to end is answered, not cut off.
  @Test func frameHalfReceivedAtTheDrainIsAnswered() throws {
    let server = try ServerProcess(overTCP: true)
    for address in [server.unix, server.tcp] { try FaultTests.expectServing(address) }
    let small = classifyFrame(1, "textclassifier", FaultTests.text)
    let large = classifyFrame(1, "textclassifier", [Float](repeating: 0, count: 512_000), rows: 5120)
    let clients = try [(server.unix, small), (server.tcp, small), (server.unix, large), (server.tcp, large)]
      .map {
        let connection = try RawConnection($0.0)
        connection.send(Array($0.1[..<($0.1.count / 2)]))
        return (connection, $0.1)
      }
    usleep(100_000)
    server.signal(SIGTERM)
    for (connection, _) in clients { #expect(try connection.answer()?.isGoaway == true) }
    usleep(600_000)
    for (connection, frame) in clients {
      connection.send(Array(frame[(frame.count / 2)...]))
      let answers = try connection.answersUntilEnd()
      #expect(answers.map { $0.status?.reason } == ["NOT_PROCESSED"])
    }
    #expect(server.exitStatus() == 0)
  }

  // MARK: Models

  @Test func emptyFolderIsServed() throws {
    let folder = try ModelFolder()
    let server = try ServerProcess(models: folder.path)
    let client = try SynchronousClient(server.unix)
    #expect(try client.health().isServing)
    #expect(try client.models(timeoutNanoseconds: 0).isEmpty)
    var result = ClassifyResult()
    #expect {
      try client.classify(FaultTests.text, ClassifyCall("textclassifier"), into: &result)
    } throws: { error in
      if case .status(let status) = error as? ClientError { status.codeName == "NOT_FOUND" } else { false }
    }
    #expect(server.terminate() == 0)
  }

  @Test func badModelsAreListedWithTheirReasonWhileOthersServe() throws {
    let folder = try ModelFolder()
      .copy("torch/text_classifier/text_classifier.pth", to: "textclassifier/1/model.pth")
      .copy("bad/evil_system.zip.pth", to: "textclassifier/2/model.pth")
      .copy("bad/pth_short_storage.pth", to: "short/1/model.pth")
      .copy("bad/st_header_len_u64max.safetensors", to: "length/1/model.safetensors")
      .copy("torch/digits_cnn/digits_cnn.pth", to: "convolution/1/model.pth")
      .write("empty/1/README.md", Data("nothing here".utf8))
      .write("nothing/1/model.pth", Data())
    let server = try ServerProcess(models: folder.path)
    let client = try SynchronousClient(server.unix)
    let models = try client.models(timeoutNanoseconds: 0)
    #expect(models.filter { $0.state == .ready }.map { "\($0.name)@\($0.version)" } == ["textclassifier@1"])
    let failed = models.filter { $0.state == .failed }
    #expect(
      failed.map { "\($0.name)@\($0.version)" }
        == ["convolution@1", "empty@1", "length@1", "nothing@1", "short@1", "textclassifier@2"])
    for model in failed {
      #expect(!model.reason.isEmpty && !model.reason.contains("\n"), "\(model.name)")
      #expect(server.log.contains(model.reason), "\(model.name): \(model.reason)")
    }
    #expect(failed.last?.reason.contains("posix.system") == true)
    // The default is the newest version that is ready.
    try FaultTests.expectServing(server.unix)
    var result = ClassifyResult()
    #expect {
      try client.classify(FaultTests.text, ClassifyCall("short"), into: &result)
    } throws: { error in
      if case .status(let status) = error as? ClientError { status.reason == "MODEL_FAILED" } else { false }
    }
    #expect(try !client.health("short").isServing)
    #expect(try client.health("textclassifier").isServing && client.health().isServing)
  }

  // MARK: Commands that end

  /// Runs `apus` to its end, which must come within 20 seconds.
  private func run(_ arguments: [String]) throws -> (status: Int32, error: String) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = ServerProcess.executable
    process.arguments = arguments
    process.standardError = pipe
    try process.run()
    let ended = waitUntil(seconds: 20) { !process.isRunning }
    if !ended { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    let error = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    return (ended ? process.terminationStatus : -1, error)
  }
}

/// A server that has no descriptors left.
@Suite struct DescriptorTests {
  @Test func connectionsWaitUntilDescriptorsAreFree() throws {
    let server = try ServerProcess(descriptors: 40)
    var clients: [RawConnection] = []
    for _ in 0..<60 { clients.append(try RawConnection(server.unix)) }
    let before = server.processorTicks
    usleep(500_000)
    #expect(server.processorTicks - before <= 10, "the server spins on a connection that it cannot take")
    clients.removeFirst(50)
    for (index, client) in clients.enumerated() {
      _ = client.send(classifyFrame(UInt64(index + 1), "textclassifier", FaultTests.text))
      let answer = try #require(try client.answer(), "no answer on connection \(index)")
      #expect(answer.status == nil)
    }
    #expect(server.terminate() == 0)
  }
}
