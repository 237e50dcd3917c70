import CApusKernels
import COpenBLAS
import Glibc

/// The kernels that OpenBLAS chose for this processor, for example `Cooperlake`.
package var blasCoreName: String { String(cString: openblas_get_corename()) }

/// OpenBLAS's version and build options, for example `OpenBLAS 0.3.21 DYNAMIC_ARCH NO_AFFINITY ...`.
package var blasConfiguration: String { String(cString: openblas_get_config()) }

/// The instructions that our own kernels use: `portable`, `avx2` or `avx512`, with `+vnni` where there is
/// that.
package var kernelLevelName: String {
  String(cString: apus_level_name(apus_kernels_level())) + (apus_kernels_vnni() ? "+vnni" : "")
}

/// The processor as it calls itself, for example `AMD EPYC 7763 64-Core Processor`; `unknown` where it does
/// not.
package var processorName: String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(APUS_PROCESSOR_NAME_BYTES)) { name in
    guard let start = name.baseAddress else { return "unknown" }
    apus_processor_name(start)
    return String(cString: start)
  }
}

/// Makes OpenBLAS take the memory it needs, so that later calls on so many threads at once map none.
///
/// OpenBLAS keeps a table of packing buffers and maps one when more threads than ever before are inside it.
/// Its `blas_memory_alloc` takes one of them; holding `threads` of them for a moment maps them all. The
/// symbol is exported but not declared in cblas.h: where it is missing, only the first buffer is mapped here.
package func warmUpBLAS(threads: Int) {
  multiplyOnce()
  guard
    let allocateAddress = dlsym(nil, "blas_memory_alloc"),
    let freeAddress = dlsym(nil, "blas_memory_free")
  else { return }
  // void *blas_memory_alloc(int); void blas_memory_free(void *): OpenBLAS driver/others/memory.c. Its own
  // interface/gemm.c passes 0.
  let allocate = unsafeBitCast(
    allocateAddress, to: (@convention(c) (CInt) -> UnsafeMutableRawPointer?).self)
  let free = unsafeBitCast(freeAddress, to: (@convention(c) (UnsafeMutableRawPointer?) -> Void).self)
  let held = (0..<max(1, threads)).map { _ in allocate(0) }
  for buffer in held where buffer != nil { free(buffer) }
}

/// One product that is too large for OpenBLAS's small-matrix path, so that it goes through packing buffers.
private func multiplyOnce() {
  let size = 128
  let matrix = [Float](repeating: 0, count: size * size)
  var product = matrix
  matrix.withUnsafeBufferPointer { matrix in
    product.withUnsafeMutableBufferPointer { product in
      let address = matrix.baseAddress.unsafelyUnwrapped
      sgemm(
        rows: size, inputs: size, outputs: size, input: address, inputStride: size,
        weights: address, areTransposed: true, output: product.baseAddress.unsafelyUnwrapped,
        outputStride: size)
    }
  }
}

// Invariants of both wrappers: all pointers cover the matrices named below and the output overlaps nothing
// else; widths are positive and at most Int32.max; a stride is at least its row's width. OpenBLAS checks only
// the last of these (and prints), so callers must.

/// y += W x for one row: weights [outputs, inputs] as stored, or [inputs, outputs] when transposed.
@inline(__always)
func sgemv(
  inputs: Int, outputs: Int, input: UnsafePointer<Float>, weights: UnsafePointer<Float>,
  areTransposed: Bool, output: UnsafeMutablePointer<Float>
) {
  let rows = CInt(truncatingIfNeeded: areTransposed ? inputs : outputs)
  let columns = CInt(truncatingIfNeeded: areTransposed ? outputs : inputs)
  cblas_sgemv(
    CblasRowMajor, areTransposed ? CblasTrans : CblasNoTrans, rows, columns, 1, weights, columns, input, 1, 1,
    output, 1)
}

/// Y += X Wᵀ for rows that lie a stride apart: weights [outputs, inputs] as stored, or [inputs, outputs] when
/// transposed.
@inline(__always)
func sgemm(
  rows: Int, inputs: Int, outputs: Int, input: UnsafePointer<Float>, inputStride: Int,
  weights: UnsafePointer<Float>, areTransposed: Bool, output: UnsafeMutablePointer<Float>, outputStride: Int
) {
  cblas_sgemm(
    CblasRowMajor, CblasNoTrans, areTransposed ? CblasNoTrans : CblasTrans, CInt(truncatingIfNeeded: rows),
    CInt(truncatingIfNeeded: outputs), CInt(truncatingIfNeeded: inputs), 1, input,
    CInt(truncatingIfNeeded: inputStride), weights,
    CInt(truncatingIfNeeded: areTransposed ? outputs : inputs), 1, output,
    CInt(truncatingIfNeeded: outputStride))
}
