// What `apus_half.h` promises, by the kernels of the present level.
#include "kernels.h"

ptrdiff_t apus_linear_half_packed_count(ptrdiff_t inputs, ptrdiff_t outputs) {
  return apus_linear_packed_floats(inputs, outputs);
}

void apus_linear_half_pack(
  const uint16_t *weights, bool is_transposed, ptrdiff_t outputs, ptrdiff_t inputs, uint16_t *packed) {
  const ptrdiff_t padded = (outputs + 15) / 16 * 16;
  for (ptrdiff_t output = 0; output < padded; output++) {
    uint16_t *column = packed + output / 16 * 16 * inputs + output % 16;
    for (ptrdiff_t input = 0; input < inputs; input++) {
      const ptrdiff_t place = is_transposed ? input * outputs + output : output * inputs + input;
      column[input * 16] = output < outputs ? weights[place] : 0;
    }
  }
}

void apus_linear_half(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const float *x, ptrdiff_t x_stride,
  const uint16_t *packed, apus_half format, const float *bias, apus_activation activation, float alpha,
  float beta, float *y, ptrdiff_t y_stride) {
  const struct linear product = {
    .rows = rows,
    .inputs = inputs,
    .outputs = outputs,
    .x = x,
    .x_stride = x_stride,
    .format = format == apus_half_float16 ? weights_of_float16 : weights_of_bfloat16,
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
