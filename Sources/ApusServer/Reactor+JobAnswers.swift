import ApusBase
import ApusEngine
import ApusLog
import ApusStream
import ApusWire

/// The answers of calls that waited.
extension Reactor {
  /// Answers the jobs at hand, each connection's together.
  mutating func answerJobs() {
    var place = 0
    while place < jobsAtHand.count {
      guard let key = jobsAtHand[place].request.connection, let connection = connections.pointer(to: key)
      else {
        end(jobsAtHand[place])
        place += 1
        continue
      }
      var isOpen = true
      while place < jobsAtHand.count, jobsAtHand[place].request.connection == key {
        isOpen = answer(jobsAtHand[place], key, connection)
        place += 1
        guard isOpen else { break }
      }
      guard isOpen, flush(key, connection) else { continue }
      goOn(key, connection)
    }
    jobsAtHand.removeAll(keepingCapacity: true)
  }

  /// A connection that had as many calls in flight as it may is read again; one that has ended its sending
  /// side, or whose server ends, may have waited for the last answer.
  private mutating func goOn(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) {
    guard connection.pointee.backlog == nil else { return }
    if connection.pointee.isFull, connection.pointee.jobs.count < limits.callsInFlight {
      connection.pointee.isFull = false
      watchAgain(key, connection)
      if connection.pointee.phase == .open { processReceived(key, connection, at: .now) }
      guard connections.pointer(to: key) != nil else { return }
      if connection.pointee.stream.hasBuffered { unread.append(key) }
    }
    endWhenAnswered(key, connection)
  }

  /// Answers a job, or keeps its answer while the peer does not take what came before.
  ///
  /// - Returns: false when the connection was closed.
  mutating func answer(
    _ job: Job, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    connection.pointee.forget(job)
    jobsWaiting -= 1
    guard connection.pointee.backlog == nil else {
      connection.pointee.done.append(job)
      return true
    }
    return write(job, key, connection)
  }

  /// Sends answers that waited for the peer to take those before.
  ///
  /// - Returns: false when the connection was closed.
  mutating func answerDone(_ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>) -> Bool {
    while !connection.pointee.done.isEmpty, connection.pointee.backlog == nil {
      // Where the connection closes meanwhile, those that are still in the list are ended with it.
      let job = connection.pointee.done.removeFirst()
      guard write(job, key, connection), flush(key, connection) else { return false }
    }
    goOn(key, connection)
    return connections.pointer(to: key) != nil
  }

  /// - Returns: false when the connection was closed.
  private mutating func write(
    _ job: Job, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    let call = job.request.call
    let needed = call.wantLabels ? limits.answerBufferBytes / 2 : call.layout.frameBytes
    if answerBytes > 0, answerBytes + needed > limits.answerBufferBytes {
      guard flush(key, connection) else {
        end(job)
        return false
      }
      if connection.pointee.backlog != nil {
        connection.pointee.done.append(job)
        return true
      }
    }
    defer { end(job) }
    return append(job, call, key, connection)
  }

  /// Half of the answers' buffer is free behind what was made before.
  private mutating func append(
    _ job: Job, _ call: PreparedCall, _ key: SlotKey, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    guard let catalog = job.request.catalog, let frame = job.request.frame else { return true }
    named = NamedCall(call, catalog)
    if job.outcome.wasGathered {
      recorder.add(.tensorCopies)
      recorder.add(.tensorCopiedBytes, UInt64(call.form.rows * (job.question?.rowBytes ?? 0)))
    }
    do throws(Status) {
      if let failure = job.outcome.failure { throw failure }
      if call.wantLabels {
        try appendLabelled(
          frame + call.layout.bodyOffset, call, catalog, requestID: job.request.requestID, job.times,
          isBatch: job.outcome.opensBatch, requestBytes: job.request.frameBytes, connection)
      } else if call.layout.frameBytes <= limits.answerBufferBytes - answerBytes {
        let output = answers.baseAddress + answerBytes
        output.copyMemory(from: frame, byteCount: call.layout.frameBytes)
        endAnswer(output, call, catalog, job, connection)
        answerBytes += call.layout.frameBytes
      } else {
        endAnswer(frame, call, catalog, job, connection)
        guard let slab = job.question?.bodyOwner as? Slab, let memory = slab.take(),
          let lease = slab.takeLease()
        else { throw .memoryExhausted }
        return send(memory, lease, byteCount: call.layout.frameBytes, key, connection)
      }
    } catch {
      recorder.refused(model: catalog.slots[call.modelIndex], error.code)
      appendStatus(
        error, method: Method.classify.rawValue, requestID: job.request.requestID, connection,
        requestBytes: job.request.frameBytes)
    }
    return true
  }

  /// Writes when and how long, counts, and logs.
  private mutating func endAnswer(
    _ frame: UnsafeMutableRawPointer, _ call: PreparedCall, _ catalog: Catalog, _ job: Job,
    _ connection: UnsafeMutablePointer<Connection>
  ) {
    let account = account(of: job.times)
    AnswerTail.write(load: load, account, to: frame + FrameHeader.byteCount + call.prefixBytes)
    let requestID = job.request.requestID
    tell(
      call, catalog, account, calls: 1, isBatch: job.outcome.opensBatch,
      requestBytes: job.request.frameBytes, connection.pointee
    ) { _ in requestID }
  }
}

extension Job {
  fileprivate var times: CallTimes {
    CallTimes(
      firstByte: request.firstByte, received: request.received, begun: outcome.begun,
      computed: outcome.computed, rows: outcome.batchRows)
  }
}

extension Job.Question {
  /// Bytes of one row of numbers.
  fileprivate var rowBytes: Int { model.plan.inputs * model.plan.inputElement.byteCount }
}
