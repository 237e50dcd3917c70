import ApusBase
import ApusIO

/// What came of bringing a folder into step with a store, once.
package struct SyncOutcome: Equatable, Sendable {
  /// Models of which something came or went wrong, by name.
  package var models: [ModelOutcome] = []
  /// What was wrong with the store itself, a line each.
  package var problems: [String] = []

  package var allProblems: [String] { problems + models.flatMap(\.problems) }
  package var isInStep: Bool { allProblems.isEmpty }
}

/// Keeps a folder in step with a store.
package struct Synchroniser: ~Copyable {
  private let settings: StoreSettings
  private let folder: LocalFolder
  private let connection: StoreConnection
  private var catalog: CatalogReader

  /// - Throws: `StoreError` where libcurl cannot be started.
  package init(_ settings: StoreSettings, _ folder: LocalFolder) throws(StoreError) {
    self.settings = settings
    self.folder = folder
    connection = try StoreConnection(settings)
    catalog = CatalogReader(settings)
  }

  /// Brings the folder into step. Models are worked on at the same time, the versions of one after each
  /// other; what is wrong with one stops no other.
  package mutating func run() -> SyncOutcome {
    var outcome = SyncOutcome()
    do throws(StoreError) {
      let lock = try folder.lock()
      let found = try catalog.read(connection)
      outcome.problems = found.problems
      let work = found.catalog.models.filter { !folder.isInStep($0) }
      outcome.models = try bring(work)
      if outcome.isInStep { folder.tidy() }
      _ = consume lock
    } catch { outcome.problems.append("\(error)") }
    return outcome
  }

  private func bring(_ models: [StoreModel]) throws(StoreError) -> [ModelOutcome] {
    let queue = Locked(models[...])
    let done = Locked<[ModelOutcome]>([])
    let work: @Sendable () -> Void = { [settings, folder] in
      do throws(StoreError) {
        let connection = try StoreConnection(settings)
        while let model = queue.withLock({ $0.popFirst() }) {
          let outcome = ModelSync(model: model, folder: folder, settings: settings).run(connection)
          done.withLock { $0.append(outcome) }
        }
      } catch {
        done.withLock { $0.append(ModelOutcome(name: "", problems: ["\(error)"])) }
      }
    }
    let others = min(settings.concurrency, models.count) - 1
    withThreads(others, work)
    return done.withLock { $0 }.filter { $0 != ModelOutcome(name: $0.name) }.sorted { $0.name < $1.name }
  }

  /// Runs it on so many threads more than this one.
  private func withThreads(_ count: Int, _ work: @escaping @Sendable () -> Void) {
    guard count > 0, let thread = try? Thread(name: "store-\(count)", work) else { return work() }
    withThreads(count - 1, work)
    thread.join()
  }
}
