// What `apus_linear.h` promises, by the kernels of the present level.
#include "kernels.h"

ptrdiff_t apus_linear_packed_floats(ptrdiff_t inputs, ptrdiff_t outputs) {
  return (outputs + 15) / 16 * 16 * inputs;
}

void apus_linear_pack(
  const float *weights, bool is_transposed, ptrdiff_t outputs, ptrdiff_t inputs, float *packed) {
  kernels()->pack(outputs, inputs, weights, is_transposed, packed);
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

void apus_dot_products(
  ptrdiff_t inputs, ptrdiff_t outputs, const float *x, const float *weights, const float *bias, float *y) {
  kernels()->dot_products(inputs, outputs, x, weights, bias, y);
}
