import Foundation
import Testing

/// Whether this build is sanitized: its processes then have an allocator of their own, which must not be
/// interposed.
let isSanitized =
  dlsym(UnsafeMutableRawPointer(bitPattern: 0), "__asan_init") != nil
  || dlsym(UnsafeMutableRawPointer(bitPattern: 0), "__tsan_init") != nil

private let libraryPath = FileManager.default.temporaryDirectory
  .appendingPathComponent("apus-interpose-\(getpid()).so").path

/// `Tests/Interpose/interpose.c`, compiled, with the counters of one process that it is preloaded into.
final class Interposer {
  /// The words of the file that both sides map, as in `interpose.c`.
  private enum Word: Int, CaseIterable {
    case malloc, calloc, realloc, aligned, mmap, armed, offset, received, flipped, openssl
  }

  private static let library = Result {
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments = [
      "cc", "-O2", "-shared", "-fPIC", "-o", libraryPath, packageRoot + "/Tests/Interpose/interpose.c",
    ]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0, "the interposer does not compile")
    atexit { unlink(libraryPath) }
    return libraryPath
  }

  private let file: String
  private let words: UnsafeMutablePointer<UInt64>
  /// For the process to be watched.
  let environment: [String: String]

  init() throws {
    file =
      FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString.prefix(8))")
      .path
    try Data(count: 4096).write(to: URL(fileURLWithPath: file))
    let descriptor = open(file, O_RDWR)
    defer { close(descriptor) }
    let mapped = try #require(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0))
    try #require(mapped != MAP_FAILED)
    words = mapped.bindMemory(to: UInt64.self, capacity: 512)
    environment = ["LD_PRELOAD": try Self.library.get(), "APUS_INTERPOSE": file]
  }

  deinit {
    munmap(words, 4096)
    unlink(file)
  }

  private func value(_ word: Word) -> UInt64 { words[word.rawValue] }

  /// Calls that took memory, by name, since the process started; without OpenSSL's own.
  var taken: [String: UInt64] {
    let counted: [Word] = [.malloc, .calloc, .realloc, .aligned, .mmap]
    return Dictionary(uniqueKeysWithValues: counted.map { ("\($0)", value($0)) })
  }

  /// Calls by which OpenSSL's libraries took memory.
  var takenByOpenSSL: UInt64 { value(.openssl) }

  /// Bytes flipped since the process started.
  var flipped: UInt64 { value(.flipped) }

  /// Has the top bit flipped of the byte at `offset` of what is received next, when BLAS is next called.
  func arm(offset: Int) {
    words[Word.received.rawValue] = 0
    words[Word.offset.rawValue] = UInt64(offset)
    words[Word.armed.rawValue] = 1
  }
}

/// What was counted more after `before`; empty when nothing was.
func growth(_ after: [String: UInt64], since before: [String: UInt64]) -> [String: UInt64] {
  var growth: [String: UInt64] = [:]
  for (name, count) in after where count != before[name] { growth[name] = count - (before[name] ?? 0) }
  return growth
}
