// What `apus_linear.h` promises, by the kernels of the present level.
#include "kernels.h"

/// Floats of a packed k × n right-hand side: whole panels of 16.
static ptrdiff_t packed_floats(ptrdiff_t n, ptrdiff_t k) { return (n + 15) / 16 * 16 * k; }

ptrdiff_t apus_linear_packed_floats(ptrdiff_t inputs, ptrdiff_t outputs) {
  return packed_floats(outputs, inputs);
}

void apus_linear_pack(
  const float *weights, bool is_transposed, ptrdiff_t outputs, ptrdiff_t inputs, float *packed) {
  kernels()->pack(outputs, inputs, weights, is_transposed ? outputs : inputs, !is_transposed, packed);
}

void apus_linear(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const float *x, ptrdiff_t x_stride,
  const float *packed, const float *bias, apus_activation activation, float alpha, float beta, float *y, ptrdiff_t y_stride) {
  const struct linear product = {
    .rows = rows,
    .inputs = inputs,
    .outputs = outputs,
    .x = x,
    .x_stride = x_stride,
    .packed = packed,
    .bias = bias,
    .activation = activation,
    .alpha = alpha,
    .beta = beta,
    .y = y,
    .y_stride = y_stride,
  };
  kernels()->linear(&product);
}

ptrdiff_t apus_gemm_workspace_floats(ptrdiff_t n, ptrdiff_t k) { return packed_floats(n, k); }

void apus_gemm(
  ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t a_stride, const float *b,
  ptrdiff_t b_stride, bool is_b_transposed, float *c, ptrdiff_t c_stride, float *workspace) {
  kernels()->pack(n, k, b, b_stride, is_b_transposed, workspace);
  apus_linear(m, k, n, a, a_stride, workspace, 0, apus_activation_none, 0, 0, c, c_stride);
}
