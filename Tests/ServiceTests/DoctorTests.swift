import Testing

@testable import ApusCommand

/// What `apus doctor` makes of the kernel's files.
@Suite struct DoctorTests {
  @Test func processorFeaturesAreRead() {
    let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 fma avx512f avx512_vnni\n"
    #expect(
      DoctorChecks.processor(text)
        == .ok("processor", "Some CPU @ 2 GHz: AVX2, FMA, AVX-512, AVX-512 VNNI"))
    #expect(DoctorChecks.processor("model name : Old\nflags : fpu sse2\n").level == .note)
    #expect(DoctorChecks.processor("").level == .note)
  }

  @Test func quotaIsHeldAgainstThreads() {
    #expect(DoctorChecks.quota("max 100000\n", threads: 8).level == .ok)
    #expect(DoctorChecks.quota(nil, threads: 8).level == .ok)
    #expect(DoctorChecks.quota("200000 100000\n", threads: 2).level == .ok)
    let finding = DoctorChecks.quota("150000 100000\n", threads: 2)
    #expect(finding.level == .problem)
    #expect(finding.text.hasPrefix("1.50 processors for 2 threads"))
    #expect(finding.text.contains("--threads 1 "))
  }

  @Test func limitsGovernorAndKernelSettings() {
    #expect(DoctorChecks.descriptors(hard: 17_408, connections: 16_384).level == .ok)
    #expect(DoctorChecks.descriptors(hard: 17_407, connections: 16_384).level == .problem)
    #expect(DoctorChecks.governor("performance\n").level == .ok)
    #expect(DoctorChecks.governor("powersave\n").level == .note)
    #expect(DoctorChecks.governor(nil).level == .ok)
    #expect(DoctorChecks.hugePages("[always] madvise never\n").level == .note)
    #expect(DoctorChecks.hugePages("always [madvise] never\n").text == "madvise")
    #expect(DoctorChecks.waitingConnections("128\n").level == .note)
    #expect(DoctorChecks.waitingConnections("4096\n").level == .ok)
  }

  @Test func foldersAndFilesByMode() {
    #expect(DoctorChecks.socketFolder("/r", mode: 0o040750, isWritable: true).level == .ok)
    #expect(DoctorChecks.socketFolder("/r", mode: 0o040750, isWritable: false).level == .problem)
    #expect(DoctorChecks.socketFolder("/r", mode: 0o041777, isWritable: true).level == .note)
    #expect(DoctorChecks.socketFolder("/r", mode: 0o040777, isWritable: true).level == .problem)
    #expect(DoctorChecks.socketFolder("/r", mode: nil, isWritable: false).level == .problem)
    #expect(DoctorChecks.secretFile("p", mode: 0o100640).level == .ok)
    #expect(DoctorChecks.secretFile("p", mode: 0o100644).level == .note)
    #expect(DoctorChecks.secretFile("p", mode: 0o100660).level == .problem)
    #expect(DoctorChecks.secretFile("p", mode: nil).level == .problem)
  }

  @Test func aRealRunNamesEverySubject() throws {
    let run = try Helper.run(Helper.executable, ["doctor"])
    for subject in ["open files", "locked memory", "processor", "BLAS", "somaxconn", "processor quota"] {
      #expect(run.output.contains(": \(subject): "), "\(run.output)")
    }
    let levels = run.output.split(separator: "\n").map { $0.prefix { $0 != ":" } }
    #expect(levels.allSatisfy { ["ok", "note", "problem"].contains($0) })
    #expect(run.status == (levels.contains("problem") ? 1 : 0))
  }
}
