import ApusBase
import ApusClient
import ApusIO
import ApusModels
import ApusWire
import Foundation
import Synchronization
import Testing

@testable import ApusServer

/// A version that is published, and another one that is taken out of memory, while calls wait: each call is
/// answered by the version that it came to, and that one stays for as long.
@Suite(.timeLimit(.minutes(15))) struct WaitingAdministrationTests {
  private static let patience: UInt64 = 120_000_000_000
  private static let rows = 512

  /// A server whose models administration changes, and whose only worker a gate holds.
  private final class HeldServer {
    let files: ModelFolder
    let server: Server
    let gate = Gate()
    private let held: WaitingCall

    var address: String { "unix:\(files.path)/s" }

    init() throws {
      files = try HeavyModel.folder(width: 512)
      var platform = try Platform(
        ModelRepository(path: files.path), log: PlatformLog { _, _ in })
      let catalog = try platform.catalog()
      var configuration = Server.Configuration()
      configuration.listen = [.unix(path: "\(files.path)/s")]
      configuration.limits.queueNanoseconds = 3_600_000_000_000
      configuration.localServices = 1
      configuration.administration = try Administration(platform)
      server = try Server(catalog: catalog, configuration)
      let gated = LocalModel(
        served: try GatedModel.model("gated", gate), slot: 0, nameNumber: -1, shadow: nil)
      let service = try #require(server.localServices.first)
      let progress = try service.begin(
        LocalCall(values: GatedModel.row(1), rows: 1, begun: .now, received: .now), with: gated,
        by: service.identify(token: nil), of: Flow()
      ) { {} }
      guard case .waiting(let waiting) = progress else { throw RawConnection.TimedOut() }
      held = waiting
      try #require(gate.holds(1))
    }

    func open() {
      gate.open()
      server.localServices.first?.abandon(held)
    }

    func hasQueued(_ count: UInt64) -> Bool { waitUntil(seconds: 60) { server.fleet.queuedCalls == count } }

    deinit { server.drain() }
  }

  private func loaded(_ server: HeldServer, version: UInt64) -> LoadedModel? {
    server.server.fleet.catalog.models.first { $0.version == version }?.loaded
  }

  @Test func callsThatWaitOutliveTheirVersionsService() throws {
    let server = try HeldServer()
    let client = try SynchronousClient(server.address)
    weak let old = loaded(server, version: 1)
    try #require(old != nil)
    let early = try RawConnection(server.address)
    early.send(HeavyModel.call(1, rows: Self.rows))
    #expect(server.hasQueued(1))
    let published = try client.publish(
      folder: server.files.path + "/heavy/1", BeginPublishRequest(model: "heavy"),
      timeoutNanoseconds: Self.patience)
    #expect(published.model.version == 2 && published.model.state == .ready)
    let later = try RawConnection(server.address)
    later.send(HeavyModel.call(2, rows: Self.rows))
    #expect(server.hasQueued(2))

    let unloading = UnloadedVersion(server.address)
    #expect(try waitUntil(seconds: 60) { try states(client) == [.draining, .ready] })
    #expect(old != nil && !unloading.hasEnded, "a call of it waits")
    server.open()
    for (connection, version) in [(early, 1), (later, 2)] as [(RawConnection, UInt64)] {
      let answer = try #require(try connection.answer(within: 60))
      #expect(try answer.status == nil && answer.version() == version)
    }
    #expect(waitUntil(seconds: 60) { unloading.hasEnded })
    #expect(try states(client) == [.unloaded, .ready])
    #expect(waitUntil(seconds: 60) { old == nil }, "nobody holds what nobody calls")
  }

  private func states(_ client: SynchronousClient) throws -> [ModelState] {
    try client.models(timeoutNanoseconds: Self.patience).map(\.state)
  }

  /// Version 1 on its way out of memory, which a thread of its own asks for.
  private final class UnloadedVersion: Sendable {
    private let ended = Atomic<Bool>(false)
    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    init(_ address: String) {
      Foundation.Thread.detachNewThread { [self] in
        let client = try? SynchronousClient(address)
        let request = VersionRequest(model: "heavy", version: 1)
        let outcome = try? client?.unload(request, timeoutNanoseconds: patience)
        if outcome?.model.state == .unloaded { ended.store(true, ordering: .releasing) }
      }
    }
  }
}
