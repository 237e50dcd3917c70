import Foundation
import Testing

@testable import apus

/// A real process under a small service manager, manager.py, and the unit files.
@Suite struct ServiceTests {
  private func manage(_ testCase: String) throws -> [String] {
    let run = try Helper.run(
      "/usr/bin/env",
      [
        "python3", Helper.root.path + "/Tests/ServiceTests/manager.py", Helper.executable,
        Helper.root.path + "/models/repository", testCase,
      ])
    return run.output.split(separator: "\n").map(String.init)
  }

  /// Everything in its order; the time on the clock is a number of the kernel's.
  private func expectLife(_ lines: [String], health: Int, listening: Int) {
    #expect(lines.count == 8 + health, "\(lines)")
    guard lines.count == 8 + health else { return }
    #expect(lines[0] == "heard READY=1 STATUS=3 models ready, 0 failed")
    #expect(lines[1...health].allSatisfy { $0 == "health 0" }, "\(lines)")
    #expect(lines[1 + health].hasPrefix("heard RELOADING=1 MONOTONIC_USEC="))
    #expect(
      Array(lines[(2 + health)...]) == [
        "heard READY=1", "heard STOPPING=1", "status 0", "listening \(listening)", "kept True",
        "waiting True",
      ])
  }

  @Test(arguments: ["plain", "abstract", "matched"])
  func passedSocketsAreServedAndKept(testCase: String) throws {
    expectLife(try manage(testCase), health: 2, listening: 2)
  }

  @Test func socketsForAnotherProcessAreIgnored() throws {
    expectLife(try manage("wrong-pid"), health: 1, listening: 1)
  }

  @Test func whatIsNoListeningSocketIsRefusedInOneLine() throws {
    #expect(
      try manage("closed") == [
        "error apus: listen on descriptor 5, which the service manager passed: Bad file descriptor"
      ])
    #expect(
      try manage("file") == [
        "error apus: listen on descriptor 4, which the service manager passed: "
          + "Socket operation on non-socket"
      ])
  }

  @Test func aSocketNamedTLSNeedsACertificate() throws {
    let lines = try manage("tls")
    #expect(lines.count == 1 && lines[0].contains("needs a certificate"), "\(lines)")
  }

  // MARK: Units

  private static let analyze = ["/usr/bin/systemd-analyze", "/bin/systemd-analyze"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// Copies whose command exists here, since `verify` looks for it.
  private func withUnits(_ body: (_ service: String, _ socket: String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "apus-units-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for name in ["apus.service", "apus.socket"] {
      let text = try String(contentsOfFile: Helper.root.path + "/deploy/systemd/" + name, encoding: .utf8)
      try text.replacingOccurrences(of: "/usr/bin/apus", with: Helper.executable)
        .write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
    }
    try body(folder + "/apus.service", folder + "/apus.socket")
  }

  @Test(.enabled(if: analyze != nil, "systemd-analyze is missing; install the package systemd"))
  func systemdAcceptsTheUnits() throws {
    try withUnits { service, socket in
      let run = try Helper.run(try #require(Self.analyze), ["verify", "--man=no", service, socket])
      #expect(!run.output.contains("apus.s"), "\(run.output)")
      #expect(run.status == 0, "\(run.output)")
    }
  }

  @Test(.enabled(if: analyze != nil, "systemd-analyze is missing; install the package systemd"))
  func theServiceIsHardened() throws {
    try withUnits { service, _ in
      // The threshold is the exposure times ten.
      let run = try Helper.run(
        try #require(Self.analyze),
        ["security", "--no-pager", "--offline=true", "--threshold=15", service])
      #expect(run.status == 0, "\(run.output.suffix(400))")
      #expect(run.output.contains("Overall exposure level"), "\(run.output)")
    }
  }
}
