import ApusIO
import ArgumentParser
import Foundation
import Testing

@testable import ApusCommand

/// What a file may say, and which line a wrong one is told.
@Suite struct FileTests {
  @Test func pathsAreRelativeToTheFolderOfTheFile() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file(
      """
      listen: [unix:s, unix:/abs/s, tcp://localhost:1]
      models: models
      tls: {cert: tls/c.pem, key: ../k.pem, client_ca: /abs/ca.pem}
      policy: ./policy.yaml
      """)
    let configuration = ServeConfiguration([ConfigurationLayer(file: path)])
    let base = folder.path
    #expect(
      configuration.listen
        == [.unix(path: base + "s"), .unix(path: "/abs/s"), .tcp(host: "localhost", port: 1)])
    #expect(configuration.models == base + "models")
    #expect(configuration.tls?.certificate == base + "tls/c.pem")
    #expect(configuration.tls?.key == base + "../k.pem")
    #expect(configuration.tls?.clientCA == "/abs/ca.pem")
    #expect(configuration.policy == base + "./policy.yaml")
  }

  @Test func pathsOfOtherSourcesAreRelativeToTheWorkingDirectory() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("models: models\n")
    let environment = ["APUS_POLICY": "policy.yaml", "APUS_LISTEN": "unix:s"]
    let flags = try Serve.parse(["--models", "m"]).flags
    let configuration = try ServeConfiguration(file: path, flags: flags, environment: environment)
    #expect(configuration.policy == "policy.yaml" && configuration.models == "m")
    #expect(configuration.listen == [.unix(path: "s")])
  }

  @Test func listenIsAListOrOneText() throws {
    #expect(ServeConfiguration([try fileLayer("listen: unix:/a\n")]).listen == [.unix(path: "/a")])
    let list = ServeConfiguration([try fileLayer("listen:\n- unix:/a\n- unix:/b\n")])
    #expect(list.listen == [.unix(path: "/a"), .unix(path: "/b")])
  }

  @Test(arguments: ["", "# nothing\n", "---\n", "tls:\nlimits: ~\n", "tls: {}\n"])
  func aFileMaySayNothing(_ text: String) throws {
    let layer = try fileLayer(text)
    #expect(layer.problems == [] && layer.settings.isEmpty)
  }

  /// Of the file's own map.
  private static let names =
    (ConfigurationKey.allCases.filter { $0.section == nil }.map(\.rawValue)
    + ConfigurationKey.sections(in: nil)).joined(separator: ", ")

  /// Each text, and the lines said about it.
  private static let wrong: [(text: String, problems: [String])] = [
    ("models: m\n\ntreads: 2\n", [" line 3: unknown key treads in the configuration; did you mean threads?"]),
    ("tls:\n  crt: a\n", [" line 2: unknown key crt in tls; did you mean cert?"]),
    ("limits:\n  drain: 1\n", [" line 2: unknown key drain in limits; did you mean drain_ms?"]),
    (
      "tls.cert: a\n",
      [" line 1: unknown key tls.cert in the configuration; did you mean cert under tls?"]
    ),
    (
      "connection: 1\n",
      [" line 1: unknown key connection in the configuration; did you mean connections under limits?"]
    ),
    (
      "tls:\n  polciy: p\n", [" line 2: unknown key polciy in tls; did you mean policy at the top level?"]
    ),
    ("limit:\n  x: 1\n", [" line 1: unknown key limit in the configuration; did you mean limits?"]),
    ("[a]: 1\n", [" line 1: a key of the configuration must be a text"]),
    (
      "1: 2\n",
      [
        " line 1: unknown key 1 in the configuration; there are " + names
      ]
    ),
    (
      "- a\n",
      [
        " line 1: the configuration must be a map of " + names
      ]
    ),
    (
      "tls: yes\n",
      [
        " line 1: tls must be a map of cert, key, client_ca, min_version, handshakes, handshake_timeout_ms"
      ]
    ),
    ("\nthreads: 0\n", [" line 2: threads must be a number from 1 to 256, not 0"]),
    ("threads: [1]\n", [" line 1: threads must be a number from 1 to 256"]),
    ("threads: {a: 1}\n", [" line 1: threads must be a number from 1 to 256"]),
    ("threads: 1.0\n", [" line 1: threads must be a number from 1 to 256, not 1.0"]),
    ("threads:\n", [" line 1: threads has no value; give one or remove the key"]),
    ("policy: ~\n", [" line 1: policy has no value; give one or remove the key"]),
    ("policy: ''\n", [" line 1: policy is empty; it must be the path of a file"]),
    ("policy: \"a\\0b\"\n", [" line 1: policy must be the path of a file, not a\\0b"]),
    ("insecure: yes\n", [" line 1: insecure must be true or false, not yes"]),
    (
      "socket_mode: 888\n",
      [
        " line 1: socket_mode must be three or four octal digits from 0000 to 0777, not 888"
      ]
    ),
    (
      "socket_mode: 1777\n",
      [
        " line 1: socket_mode must be three or four octal digits from 0000 to 0777, not 1777"
      ]
    ),
    (
      "socket_mode: '+66'\n",
      [
        " line 1: socket_mode must be three or four octal digits from 0000 to 0777, not +66"
      ]
    ),
    (
      "socket_mode: 7\n",
      [
        " line 1: socket_mode must be three or four octal digits from 0000 to 0777, not 7"
      ]
    ),
    ("tls:\n  min_version: 1.1\n", [" line 2: tls.min_version must be 1.2 or 1.3, not 1.1"]),
    ("listen: []\n", [" line 1: listen is empty; it must be one or more addresses"]),
    ("listen: [unix:/a, [unix:/b]]\n", [" line 1: listen must be one or more addresses"]),
    (
      "listen:\n- unix:/a\n- ~\n",
      [" line 2: listen is wrong: '~' is no address; write unix:PATH, tcp://HOST:PORT or tls://HOST:PORT"]
    ),
    (
      "listen: http://a\n",
      [
        " line 1: listen is wrong: 'http://a' is no address; write unix:PATH, tcp://HOST:PORT or "
          + "tls://HOST:PORT"
      ]
    ),
    (
      "http: 127.0.0.1:99999\n",
      [
        " line 1: http is wrong: 127.0.0.1:99999 is no address of HTTP; write HOST:PORT or "
          + "https://HOST:PORT"
      ]
    ),
    ("listen: 'unix:'\n", [" line 1: listen is wrong: 'unix:': a socket path has 1 to 107 bytes"]),
    ("threads: 1\nthreads: 2\n", [" line 1: threads is there twice"]),
    ("threads: [1\n", [" line 2: did not find expected ',' or ']'"]),
    ("threads: 1\n---\nthreads: 2\n", [" line 2: but found another document"]),
    (
      "threads: 0\nspin_us: x\ntls:\n  handshakes: 0\n  what: 1\nmodels: m\n",
      [
        " line 1: threads must be a number from 1 to 256, not 0",
        " line 2: spin_us must be a number from 0 to 1000000, not x",
        " line 4: tls.handshakes must be a number from 1 to 65536, not 0",
        " line 5: unknown key what in tls; there are cert, key, client_ca, min_version, handshakes, "
          + "handshake_timeout_ms",
      ]
    ),
  ]

  @Test(arguments: wrong.indices)
  func whatIsWrongIsToldWithItsLine(_ index: Int) throws {
    #expect(try fileProblems(Self.wrong[index].text) == Self.wrong[index].problems)
  }

  @Test(arguments: ConfigurationKey.allCases)
  func numbersOutOfRangeAreToldTheRangeInEverySource(_ key: ConfigurationKey) throws {
    guard case .number(let range) = key.form else { return }
    for number in [range.lowerBound - 1, range.upperBound + 1] {
      let reason = " must be a number from \(range.lowerBound) to \(range.upperBound), not \(number)"
      #expect(
        try fileProblems(key.yaml("\(number)")) == [" line \(key.valueLine): \(key.rawValue)\(reason)"])
      #expect(
        ConfigurationLayer(environment: [key.variable: "\(number)"]).problems == [key.variable + reason])
      guard let flag = key.flag else { continue }
      #expect(try flagLayer(["\(flag)=\(number)"]).problems == [flag + reason])
    }
    for number in [range.lowerBound, range.upperBound] {
      #expect(try fileLayer(key.yaml("\(number)")).settings[key]?.value == .number(number))
    }
  }

  @Test func aFileThatCannotBeReadIsNamed() throws {
    let folder = try TemporaryFolder()
    let missing = folder.path + "none.yaml"
    #expect(
      ConfigurationLayer(file: missing).problems == ["\(missing): cannot be read: No such file or directory"])
    #expect(
      ConfigurationLayer(file: folder.path).problems == ["\(folder.path): cannot be read: Is a directory"])
    let path = folder.path + "latin1.yaml"
    try Data([0x6D, 0x3A, 0x20, 0xE9, 0x0A]).write(to: URL(fileURLWithPath: path))
    #expect(ConfigurationLayer(file: path).problems == ["\(path): is not UTF-8 text"])
  }

  /// A file of the longest length is read; one byte more is not, and neither is a file that never ends.
  @Test func longFilesAreNotParsed() throws {
    let most = ConfigurationLayer.longestFileBytes
    let text = "threads: 3\n#" + String(repeating: "x", count: most - 12)
    #expect(text.utf8.count == most)
    #expect(try fileLayer(text).settings[.threads]?.value == .number(3))
    let reason = ": a configuration has at most 65536 bytes; this one has more"
    #expect(try fileProblems(text + "x") == [reason])
    #expect(try fileProblems(String(repeating: "- ", count: 1 << 19)) == [reason])
    #expect(ConfigurationLayer(file: "/dev/zero").problems == ["/dev/zero" + reason])
  }

  @Test func hostileFilesGetOneShortLine() throws {
    var laughs = "models: &a [x, x]\n"
    for level in 0..<9 { laughs += "k\(level): &b\(level) [\(String(repeating: "*a, ", count: 9))]\n" }
    #expect(try fileProblems(laughs) == [": too many aliases (*name); write the values out"])
    let key = String(repeating: "k", count: 60_000)
    let texts = [
      String(repeating: "[", count: 60_000), String(repeating: "{a: ", count: 15_000),
      String(repeating: "- ", count: 30_000), "? " + key + "\n: 1\n", "threads: " + key, "listen: " + key,
      "tls: {\"\(key)\": 1, \"\(key)\": 2}\n", "threads: \"\\e[2J\\n\\r\"\n", "\"\\e[2J\": 1\n", "&a a: *a\n",
      "a: &a {b: *a}\n", "models: !!binary x y\n\t", "\u{FEFF}\u{0}",
    ]
    for text in texts {
      let problems = try fileProblems(text)
      #expect(problems.count == 1, "\(text.prefix(20)): \(problems)")
      for problem in problems {
        #expect(problem.utf8.count < 300 && !problem.contains("(without its file)"), "\(problem)")
        #expect(problem.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, "\(problem)")
      }
    }
  }
}
