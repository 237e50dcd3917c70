import ApusBase
import ApusIO
import Foundation
import Glibc
import Testing

/// Time is told to the watch, not waited for.
@Suite struct FolderWatchTests {
  private static let second: UInt64 = 1_000_000_000
  private let folder: String
  private let start = Instant(nanoseconds: 1_000_000_000_000)

  init() throws {
    folder = NSTemporaryDirectory() + "apus-watch-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder + "/digits/1", withIntermediateDirectories: true)
  }

  private func at(_ seconds: Double) -> Instant { start.advanced(by: UInt64(seconds * 1e9)) }

  private func make(_ path: String) throws {
    try FileManager.default.createDirectory(atPath: folder + "/" + path, withIntermediateDirectories: true)
  }

  private func write(_ path: String) throws {
    try Data([1]).write(to: URL(fileURLWithPath: folder + "/" + path))
  }

  @Test func whatDoesNotChangeIsAtRest() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var watch = try FolderWatch.begin(folder, depth: 2)
    #expect(watch.milliseconds(at: at(0)) == -1)
    let isAtRest = watch.hasComeToRest(at: at(9))
    #expect(!isAtRest)
  }

  @Test(arguments: ["other", "digits/2", "digits/state.json", "digits/1/model.yaml"])
  func aChangeIsToldOnceAfterASecond(_ path: String) throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var watch = try FolderWatch.begin(folder, depth: 2)
    if path.contains(".") { try write(path) } else { try make(path) }
    var told: [Bool] = []
    for seconds in [0, 0.9, 1.1, 3] { told.append(watch.hasComeToRest(at: at(seconds))) }
    #expect(told == [false, false, true, false])
  }

  @Test func aModelThatIsCopiedIsWaitedFor() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var watch = try FolderWatch.begin(folder, depth: 2)
    try make("other/1")
    var told = [watch.hasComeToRest(at: at(0))]
    // A file that stays open for writing, and a pause.
    let descriptor = Descriptor(owning: open(folder + "/other/1/model.pth", O_WRONLY | O_CREAT, 0o644))
    #expect(Glibc.write(descriptor.number, "half", 4) == 4)
    for seconds in [0.5, 2, 20] { told.append(watch.hasComeToRest(at: at(seconds))) }
    #expect(Glibc.write(descriptor.number, "whole", 5) == 5)
    told.append(watch.hasComeToRest(at: at(30)))
    _ = consume descriptor
    for seconds in [30, 30.5, 31.5] { told.append(watch.hasComeToRest(at: at(seconds))) }
    #expect(told == [false, false, false, false, false, false, false, true])
  }

  @Test func aWriterWithoutEndDelaysNothingForEver() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var watch = try FolderWatch.begin(folder, depth: 2)
    let descriptor = Descriptor(owning: open(folder + "/digits/1/log", O_WRONLY | O_CREAT, 0o644))
    var first: Int?
    for second in 0..<400 where first == nil {
      #expect(Glibc.write(descriptor.number, "line", 4) == 4)
      if watch.hasComeToRest(at: at(Double(second))) { first = second }
    }
    #expect(first == 300)
  }

  @Test func hiddenFoldersAndDeeperOnesAreNotLookedAt() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try make(".apus/incoming")
    try make("digits/1/deep")
    var watch = try FolderWatch.begin(folder, depth: 2)
    try write(".apus/incoming/file")
    try write("digits/.hidden")
    try write("digits/1/deep/file")
    #expect(watch.milliseconds(at: at(0)) == -1)
    var isAtRest = watch.hasComeToRest(at: at(0))
    #expect(!isAtRest && watch.milliseconds(at: at(0)) == -1)
    try FileManager.default.removeItem(atPath: folder + "/digits/1")
    _ = watch.hasComeToRest(at: at(1))
    isAtRest = watch.hasComeToRest(at: at(3))
    #expect(isAtRest, "what is taken away is a change")
  }

  @Test func aFolderThatIsNotThereIsAnError() {
    #expect(throws: SystemError.self) { _ = try FolderWatch.begin(folder + "/nothing", depth: 2) }
    try? FileManager.default.removeItem(atPath: folder)
  }
}
