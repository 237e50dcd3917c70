import ApusBase
import ApusIO
import ApusLane
import ApusStream
import ApusWire

/// A Classify request's metadata in decoded form, with the answer's metadata made for it. In steady traffic a
/// connection's calls differ only in ids and numbers, so this is made once.
struct PreparedCall {
  var modelIndex = 0
  var rows = 0
  var topK = 0
  var timeoutNanoseconds: UInt64 = 0
  /// The version it is mirrored to, in the catalog; nil: none.
  var shadowIndex: Int?
  /// One of its rows may be handed on to count the model's drift; a call that is mirrored is, in any case.
  var samplesDrift = false
  var wantLabels = false
  var wantDigest = false
  var batch = BatchTerms()
  /// As the caller asks.
  var priority: CallPriority?
  var trace = TraceParent.none
  /// Of the numbers, from the start of the body or of their region.
  var inputOffset = 0
  /// Where the numbers lie; 0: in the body.
  var region: UInt32 = 0
  /// The input is texts, whose ends are in the reactor's `texts`; such a call is prepared each time.
  var holdsTexts = false
  var form = AnswerForm(rows: 0, classes: 0, allClasses: 0, hasIndices: false, hasScores: false, version: 0)
  /// Metadata of the answer before its tail.
  var prefixBytes = 0
  /// Of the whole answer, tail included.
  var layout = FrameLayout(metadataBytes: 0, bodyBytes: 0)
}

/// Room for the last request's metadata and for the beginning of its answer's.
struct PreparedMemory: ~Copyable {
  static let requestCapacity = 512
  static let answerCapacity = 512
  private let memory = AlignedBuffer(byteCount: requestCapacity + answerCapacity)

  /// Bytes of the remembered request metadata; -1: none.
  var requestBytes = -1
  var bodyBytes = -1
  /// Of the catalog that it was held against.
  var generation: UInt64 = 0

  var request: UnsafeMutableRawPointer { memory.baseAddress }
  var answer: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(
      start: memory.baseAddress + Self.requestCapacity, count: Self.answerCapacity)
  }
}

/// Bytes that the peer has not taken yet. While there are any, nothing more is read from it.
struct Backlog: ~Copyable {
  let memory: MappedBuffer
  private let lease: MemoryLease
  var sent = 0
  let byteCount: Int

  /// Keeps a copy of what is left of an answer buffer.
  init?(copying bytes: UnsafeRawBufferPointer, _ lease: consuming MemoryLease) {
    guard let memory = MappedBuffer(byteCount: bytes.count), let source = bytes.baseAddress else {
      return nil
    }
    memory.baseAddress.copyMemory(from: source, byteCount: bytes.count)
    self.memory = memory
    self.lease = lease
    byteCount = bytes.count
  }

  /// Takes a large answer over as it is.
  init(taking memory: consuming MappedBuffer, _ lease: consuming MemoryLease, byteCount: Int, sent: Int) {
    self.memory = memory
    self.lease = lease
    self.byteCount = byteCount
    self.sent = sent
  }

  var rest: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory.baseAddress + sent, count: byteCount - sent)
  }
}

/// A frame over half a receive ring, read straight into memory of its own.
struct LargeFrame: ~Copyable {
  let memory: MappedBuffer
  private let lease: MemoryLease
  var received = 0

  init?(_ lease: consuming MemoryLease) {
    guard let memory = MappedBuffer(byteCount: lease.byteCount) else { return nil }
    self.memory = memory
    self.lease = lease
  }

  var byteCount: Int { memory.bytes.count }

  /// For calls of it that wait.
  consuming func keep() -> Slab { Slab(memory, lease) }

  /// Where the next bytes go.
  var rest: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: memory.baseAddress + received, count: byteCount - received)
  }
}

/// One client.
struct Connection: ~Copyable {
  enum Phase {
    case open
    /// What is owed is still sent; nothing more is read.
    case finishing
    /// The sending side is shut; what comes is discarded until the peer closes or the time is over, so that
    /// no answer is lost to a reset.
    case lingering
  }

  var stream: ByteStream
  var transport: TransportKind
  var ring: MirroredRing
  /// For the access log: no other connection of this process has the same number.
  var serial: UInt64 = 0
  var phase = Phase.open
  var backlog: Backlog?
  var large: LargeFrame?
  /// A whole large frame whose calls must wait until others are answered.
  var wholeLarge: Slab?
  /// A request id that came while it was in use: the connection ends when what came before is answered.
  var reusedID: UInt64?
  /// A body that is received where it will be computed.
  var reception: RowReception?
  /// Memory that its calls and answers hold beside the ring.
  let account: MemoryAccount
  /// Bytes that have come in.
  var receivedBytes: UInt64 = 0
  /// When the first byte of what has not been answered came.
  var oldest = Instant.never
  /// When the connection is closed if nothing changes; `never`: there is no frame half received or half sent.
  var deadline = Instant.never
  /// The last frame was large: read only the beginning of the next, so that its body lands where it stays.
  var expectsLarge = false
  var peerEnded = false
  /// The server is draining: what is read from now on is not processed.
  var goawaySent = false
  /// Who calls; nil where no policy asks.
  var caller: Caller?
  /// What the policy lets the caller do; nil where there is none.
  var standing: Standing?
  /// When a caller that may do nothing must have said who it is, or lose its place; `never`: it may do
  /// something.
  var nameBefore = Instant.never
  /// Requests of the frames at hand that the caller may still have answered.
  var admittedCalls = Int.max
  /// WatchHealth requests, which are in use until their last answer.
  var watches: [HealthWatch] = []
  /// Requests that another thread answers, and answers of its that have not been sent.
  var deferred: [UInt64] = []
  var waiting: [DeferredAnswer] = []
  /// Calls that wait, or are computed, apart from their frames.
  var jobs: ContiguousArray<Job> = []
  /// Of these, those that were answered while the peer did not take what came before.
  var done: ContiguousArray<Job> = []
  /// The highest id that any of them has had.
  var newestJobID: UInt64 = 0
  /// Its calls in the reactor's queue and in the workers'.
  let ownFlow = Flow()
  let pooledFlow = Flow()
  /// It has as many calls in flight as it may: nothing more is read.
  var isFull = false
  /// Of a lane.
  var regions = RegionTable()
  var prepared = PreparedCall()
  var memory = PreparedMemory()

  init(
    _ stream: consuming ByteStream, over transport: TransportKind, ring: consuming MirroredRing,
    _ limits: Limits
  ) {
    self.stream = stream
    self.transport = transport
    self.ring = ring
    account = MemoryAccount(limit: limits.connectionSlabBytes)
  }
}
