import ApusBase
import ApusIO
import Glibc
import Testing

/// A folder of its own for a test's socket files, removed with them.
struct TemporaryFolder: ~Copyable {
  let path: String

  init() throws {
    var template = Array("/tmp/apus-io-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
    path = String(cString: try #require(made))
  }

  deinit {
    if let folder = opendir(path) {
      while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        _ = unlink("\(path)/\(name)")
      }
      closedir(folder)
    }
    _ = rmdir(path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// Type and permissions of a file; nil when there is none.
func mode(_ path: String) -> mode_t? {
  var information = stat()
  return lstat(path, &information) == 0 ? information.st_mode : nil
}

/// Two sockets that are connected with each other.
struct SocketPair: ~Copyable {
  let left: Descriptor
  let right: Descriptor

  init() throws {
    var numbers: [Int32] = [-1, -1]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &numbers) == 0)
    left = Descriptor(owning: numbers[0])
    right = Descriptor(owning: numbers[1])
  }
}

func send(_ bytes: [UInt8], to descriptor: borrowing Descriptor) -> Transfer {
  bytes.withUnsafeBytes { descriptor.send($0) }
}

func receive(_ byteCount: Int, from descriptor: borrowing Descriptor) -> Transfer {
  var buffer = [UInt8](repeating: 0, count: byteCount)
  return buffer.withUnsafeMutableBytes { descriptor.receive(into: $0) }
}
