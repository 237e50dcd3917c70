import Foundation
import TestCertificates
import Testing

@testable import ApusCommand

/// What does not go together, and how `serve` and `config check` say so.
@Suite struct CheckTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  @Test func tlsNeedsACertificateAndItsKey() throws {
    let certificate = "needs the server's certificate too; give --tls-cert, APUS_TLS_CERT or tls.cert"
    let key = "needs its key too; give --tls-key, APUS_TLS_KEY or tls.key"
    #expect(try refusal(flags: ["--tls-key", "k"]) == "--tls-key \(certificate)")
    #expect(try refusal(flags: ["--tls-client-ca", "c"]) == "--tls-client-ca \(certificate)")
    #expect(try refusal(flags: ["--tls-cert", "c"]) == "--tls-cert \(key)")
    #expect(try refusal(environment: ["APUS_TLS_KEY": "k"]) == "APUS_TLS_KEY \(certificate)")
    let path = try folder.file("threads: 1\ntls:\n  cert: c\n")
    #expect(try refusal(file: path) == "\(path) line 3: tls.cert \(key)")
    #expect(try refusal(file: path, environment: ["APUS_TLS_KEY": "k"]) == nil)
    #expect(try refusal(flags: ["--tls-cert", "c", "--tls-key", "k", "--tls-client-ca", "a"]) == nil)
  }

  @Test func encryptedAddressesNeedACertificate() throws {
    let reason = "has tls://127.0.0.1:1, which needs a certificate; give --tls-cert and --tls-key"
    #expect(try refusal(flags: ["--listen", "tls://127.0.0.1:1"]) == "--listen \(reason)")
    let path = try folder.file("listen:\n- unix:/s\n- tls://127.0.0.1:1\n")
    #expect(try refusal(file: path) == "\(path) line 2: listen \(reason)")
    #expect(try refusal(file: path, flags: ["--tls-cert", "c", "--tls-key", "k"]) == nil)
  }

  @Test func addressesThatOthersReachAreEncrypted() throws {
    let reason =
      "has tcp://0.0.0.0:1, which can be reached from other machines and is not encrypted; "
      + "use tls://, listen on 127.0.0.1 or a Unix socket, or say --insecure"
    let flags = ["--listen", "unix:/s", "--listen", "tcp://0.0.0.0:1"]
    #expect(try refusal(flags: flags) == "--listen \(reason)")
    #expect(try refusal(flags: flags + ["--policy", "p"]) == "--listen \(reason)")
    #expect(try refusal(flags: flags + ["--insecure"]) == nil)
    #expect(try refusal(flags: flags, environment: ["APUS_INSECURE": "true"]) == nil)
    let path = try folder.file("listen: tcp://0.0.0.0:1\n")
    #expect(try refusal(file: path) == "\(path) line 1: listen \(reason)")
    #expect(try refusal(environment: ["APUS_LISTEN": "tcp://0.0.0.0:1"]) == "APUS_LISTEN \(reason)")
    #expect(try refusal(flags: ["--listen", "tcp://127.0.0.1:1"]) == nil)
  }

  @Test func addressesThatOthersReachAskWhoCalls() throws {
    let reason =
      "has tls://0.0.0.0:1, which can be reached from other machines and would be open to all of them; "
      + "say who may call with --policy or --tls-client-ca, or say --insecure"
    let flags = ["--listen", "tls://0.0.0.0:1", "--tls-cert", "c", "--tls-key", "k"]
    #expect(try refusal(flags: flags) == "--listen \(reason)")
    for more in [["--policy", "p"], ["--tls-client-ca", "a"], ["--insecure"]] {
      #expect(try refusal(flags: flags + more) == nil)
    }
    #expect(try refusal(flags: flags, environment: ["APUS_POLICY": "p"]) == nil)
  }

  @Test func theLongestCallHasAPlace() throws {
    // The body, 64 KiB of metadata and a header of 32 bytes.
    let needed = (64 << 20) + (64 << 10) + 32
    let variable = "APUS_LIMITS_SLAB_BYTES"
    #expect(try refusal(environment: [variable: "\(needed)"]) == nil)
    #expect(
      try refusal(environment: [variable: "\(needed - 1)"])
        == "\(variable) must be at least \(needed), so that a call of limits.body_bytes has room in it")
    let path = try folder.file("limits:\n  body_bytes: 1073741824\n")
    #expect(
      try refusal(file: path)
        == "\(path) line 2: limits.body_bytes needs limits.slab_bytes of at least 1073807392 too")
  }

  @Test func theFirstProblemIsToldAndTheOthersCounted() throws {
    let path = try folder.file("threads: 0\nspin_us: x\npolicy:\n")
    let first = "\(path) line 1: threads must be a number from 1 to 256, not 0"
    #expect(try refusal(file: path) == first + " (and 2 more, which `apus config check` lists)")
    let one = try folder.file("threads: 0\n")
    #expect(try refusal(file: one) == first)
    #expect(try refusal(file: one, flags: ["--threads", "1"]) == first)
    #expect(
      try refusal(file: one, flags: ["--spin-us", "-"], environment: ["APUS_X": "1"])
        == "--spin-us must be a number from 0 to 1000000, not -")
  }

  @Test func serveEndsWithStatus2AndOneLine() throws {
    let path = try folder.file("threads: 0\n")
    let line = "apus: \(path) line 1: threads must be a number from 1 to 256, not 0\n"
    for run in [
      try Run(["serve", "--config", path]), try Run(["serve"], environment: ["APUS_CONFIG": path]),
    ] {
      #expect(run.status == 2 && run.errors == line && run.output.isEmpty, "\(run)")
    }
    let flag = try Run(["serve", "--threads", "many"])
    #expect(flag.status == 2 && flag.errors == "apus: --threads must be a number from 1 to 256, not many\n")
    let variable = try Run(["serve"], environment: ["APUS_THREAD": "1"])
    #expect(
      variable.status == 2
        && variable.errors == "apus: unknown variable APUS_THREAD; did you mean APUS_THREADS?\n")
  }

  @Test func aGoodFileIsOk() throws {
    for name in ["models", "tls"] {
      try FileManager.default.createDirectory(atPath: folder.path + name, withIntermediateDirectories: true)
    }
    let identity = selfSigned(Naming(commonNames: ["here"]))
    _ = try folder.file(String(decoding: identity.chain, as: UTF8.self), name: "tls/c.pem")
    _ = try folder.file(String(decoding: identity.key, as: UTF8.self), name: "tls/k.pem")
    _ = try folder.file("identities: {}\n", name: "policy.yaml")
    let path = try folder.file(
      "models: models\ntls: {cert: tls/c.pem, key: tls/k.pem}\npolicy: policy.yaml\n")
    for arguments in [[path], ["--config", path]] {
      let run = try Run(["config", "check"] + arguments)
      #expect(run.status == 0 && run.output == "\(path): ok\n" && run.errors.isEmpty, "\(run)")
    }
    let relative = try Run(["config", "check", "apus.yaml"], folder: folder.path)
    #expect(relative.status == 0 && relative.output == "apus.yaml: ok\n", "\(relative)")
    let named = try Run(["config", "check"], environment: ["APUS_CONFIG": path, "APUS_X": "not looked at"])
    #expect(named.status == 0 && named.output == "\(path): ok\n", "\(named)")
  }

  @Test func eachProblemIsALine() throws {
    _ = try folder.file("", name: "models")
    try FileManager.default.createDirectory(atPath: folder.path + "k", withIntermediateDirectories: true)
    let base = folder.path
    let path = try folder.file("models: models\nthreads: x\ntls:\n  cert: c\n  key: k\n  kei: 1\n")
    let run = try Run(["config", "check", path])
    #expect(run.status == 1 && run.errors.isEmpty)
    #expect(
      run.output == """
        \(path) line 2: threads must be a number from 1 to 256, not x
        \(path) line 6: unknown key kei in tls; did you mean key?
        \(path) line 1: models is \(base)models: not a folder
        \(path) line 4: tls.cert is \(base)c: No such file or directory
        \(path) line 5: tls.key is \(base)k: not a file

        """)
  }

  @Test func theFilesThatAreNamedAreReadToo() throws {
    _ = try folder.file("identities:\n  tokn:a: {}\n", name: "policy.yaml")
    _ = try folder.file("no certificate", name: "c")
    let run = try Run(["config", "check", try folder.file("policy: policy.yaml\ntls: {cert: c, key: c}\n")])
    let lines = run.output.split(separator: "\n")
    #expect(run.status == 1 && lines.count == 2, "\(run)")
    #expect(lines.first?.contains("policy.yaml line 2: tokn:a is no identity") == true)
    #expect(lines.last?.contains("there is no certificate in it") == true)
  }

  @Test func contradictionsAreChecked() throws {
    let path = try folder.file("listen: [tcp://0.0.0.0:1]\ntls:\n  key: k\n")
    let run = try Run(["config", "check", path])
    let lines = run.output.split(separator: "\n")
    #expect(run.status == 1 && lines.count == 3, "\(run)")
    #expect(lines[0].hasPrefix("\(path) line 3: tls.key needs the server's certificate too"))
    #expect(lines[1].hasPrefix("\(path) line 1: listen has tcp://0.0.0.0:1, which can be reached"))
    #expect(lines[2].hasSuffix("k: No such file or directory"))
  }

  /// A certificate whose key is misspelled is not also said to have none.
  @Test func contradictionsAreNotToldOfValuesThatWereRefused() throws {
    _ = try folder.file("", name: "c")
    let path = try folder.file("tls:\n  cert: c\n  kei: k\n")
    let run = try Run(["config", "check", path])
    #expect(run.status == 1)
    #expect(run.output == "\(path) line 3: unknown key kei in tls; did you mean key?\n")
  }

  @Test func whatMayNotBeReadIsAProblem() throws {
    // The superuser may read everything.
    guard getuid() != 0 else { return }
    let secret = try folder.file("", name: "p")
    #expect(chmod(secret, 0) == 0)
    let run = try Run(["config", "check", try folder.file("policy: p\n")])
    #expect(run.status == 1 && run.output.hasSuffix("line 1: policy is \(secret): Permission denied\n"))
  }

  @Test func checkNeedsOneFile() throws {
    let none = try Run(["config", "check"])
    #expect(
      none.status == 2
        && none.errors == "apus: name the file to check, for example: apus config check apus.yaml\n")
    let two = try Run(["config", "check", "a", "--config", "b"])
    #expect(two.status == 2 && two.errors.hasPrefix("apus: give the file once, with --config or without"))
    let missing = try Run(["config", "check", "/none.yaml"])
    #expect(
      missing.status == 1
        && missing.output == "/none.yaml: cannot be read: No such file or directory\n")
  }
}
