import ApusBase
import ApusIO
import ApusModels
import Glibc

/// What the loading thread is asked for, one job after the other.
final class LoadQueue: Sendable {
  enum Work: Sendable {
    /// - Parameter files: names of files that must be on disk first; empty: they are.
    case load(ModelRepository.Entry, ModelRepository, ModelLoader, files: [String])
    case verify(ModelRepository.Entry, ModelRepository)
  }

  private struct Jobs {
    var waiting: [(id: UInt64, work: Work)] = []
    var isStopped = false
    var administration: Administration?
  }

  private let jobs = Locked(Jobs())
  private let wakeUp: WakeUp

  init() throws(SystemError) { wakeUp = try WakeUp() }

  func start(_ administration: Administration) { jobs.withLock { $0.administration = administration } }

  func add(_ id: UInt64, _ work: Work) {
    jobs.withLock { $0.waiting.append((id, work)) }
    wakeUp.signal()
  }

  /// Jobs that have not begun are dropped.
  func stop() {
    jobs.withLock { jobs in
      jobs.isStopped = true
      jobs.waiting = []
      jobs.administration = nil
    }
    wakeUp.signal()
  }

  func run() {
    while true {
      let next = jobs.withLock { jobs in
        (jobs.isStopped, jobs.administration, jobs.waiting.isEmpty ? nil : jobs.waiting.removeFirst())
      }
      guard !next.0 else { return }
      guard let job = next.2, let administration = next.1 else {
        var entry = pollfd(fd: wakeUp.descriptor.number, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, -1)
        wakeUp.drain()
        continue
      }
      perform(job.id, job.work, administration)
    }
  }

  private func perform(_ id: UInt64, _ work: Work, _ administration: Administration) {
    switch work {
    case .load(let entry, let repository, let loader, let files):
      if !files.isEmpty, case .success(let folder) = entry.folder {
        do { try StagedVersion.sync(folder: folder.path, names: files) } catch {
          let outcome = ModelLoader.Outcome(result: .failure(FailedModel(reason: error.description)))
          return administration.post(.loaded(id, outcome))
        }
      }
      let outcome = loader.load(entry, from: repository) { administration.post(.step(id, $0)) }
      releaseMemory()
      administration.post(.loaded(id, outcome))
    case .verify(let entry, let repository):
      administration.post(.verified(id, repository.digest(of: entry)))
    }
  }
}
