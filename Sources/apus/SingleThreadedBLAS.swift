import Glibc

/// OpenBLAS starts a thread for each core in its library constructor, before `main`; Apus computes calls side by side and
/// wants none. So the process starts itself once more with the setting that the constructor reads.
func restartWithSingleThreadedBLAS() {
  guard getenv("OPENBLAS_NUM_THREADS").map({ String(cString: $0) }) != "1" else { return }
  setenv("OPENBLAS_NUM_THREADS", "1", 1)
  // When the kernel refuses, the server works all the same, with idle threads.
  execv("/proc/self/exe", CommandLine.unsafeArgv)
}
