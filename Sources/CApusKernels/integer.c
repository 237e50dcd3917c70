// What `apus_integer.h` promises, by the kernels of the present level.
#include <string.h>

#include "kernels.h"

/// Whole panels of 16 outputs, whole fours of inputs, and a sum for each output.
ptrdiff_t apus_integer_packed_bytes(ptrdiff_t inputs, ptrdiff_t outputs) {
  return (outputs + 15) / 16 * 16 * ((inputs + 3) / 4 * 4 + (ptrdiff_t)sizeof(int32_t));
}

void apus_integer_pack(
  const void *weights, bool is_signed, bool is_transposed, ptrdiff_t outputs, ptrdiff_t inputs,
  int8_t *packed) {
  const uint8_t *from = weights, flip = is_signed ? 0 : 128;
  const ptrdiff_t padded_outputs = (outputs + 15) / 16 * 16, fours = (inputs + 3) / 4;
  int8_t *panels = packed + padded_outputs * (ptrdiff_t)sizeof(int32_t);
  memset(packed, 0, (size_t)apus_integer_packed_bytes(inputs, outputs));
  for (ptrdiff_t output = 0; output < outputs; output++) {
    uint32_t sum = 0;
    int8_t *panel = panels + output / 16 * 64 * fours + output % 16 * 4;
    for (ptrdiff_t input = 0; input < inputs; input++) {
      const ptrdiff_t place = is_transposed ? input * outputs + output : output * inputs + input;
      const int8_t weight = (int8_t)(from[place] ^ flip);
      panel[input / 4 * 64 + input % 4] = weight;
      sum += (uint32_t)weight;
    }
    memcpy(packed + output * (ptrdiff_t)sizeof sum, &sum, sizeof sum);
  }
}

/// Sums of rows, and operands of two bytes.
ptrdiff_t apus_integer_workspace_bytes(ptrdiff_t rows, ptrdiff_t inputs) {
  return (rows + 1) / 2 * 8 + rows * ((inputs + 3) / 4 * 8);
}

void apus_integer_product(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const void *x, bool is_signed, ptrdiff_t x_stride,
  int32_t x_zero, const int8_t *packed, const int32_t *w_zeros, int32_t *y, ptrdiff_t y_stride,
  void *workspace) {
  const struct integer_product product = {
    .rows = rows,
    .inputs = inputs,
    .outputs = outputs,
    .x = x,
    .is_signed = is_signed,
    .x_stride = x_stride,
    .x_zero = (int32_t)((uint32_t)x_zero + (is_signed ? 128 : 0)),
    .packed = packed,
    .w_zeros = w_zeros,
    .y = y,
    .y_stride = y_stride,
    .workspace = workspace,
  };
  const struct kernels *k = kernels();
  if (k->integer_product_dots && apus_kernels_vnni()) {
    k->integer_product_dots(&product);
  } else {
    k->integer_product(&product);
  }
}

void apus_integer_scale(
  ptrdiff_t rows, ptrdiff_t outputs, const int32_t *sums, const apus_integer_scaling *scaling, float *y) {
  kernels()->integer_scale(rows, outputs, sums, scaling, y);
}

void apus_quantize(ptrdiff_t count, const float *x, const apus_quantization *quantization, void *q) {
  kernels()->quantize(count, x, quantization, q);
}

void apus_dequantize(ptrdiff_t count, const void *q, const apus_quantization *quantization, float *x) {
  kernels()->dequantize(count, q, quantization, x);
}

apus_quantization apus_dynamic_quantization(ptrdiff_t count, const float *x) {
  float low, high;
  kernels()->range(count, x, &low, &high);
  apus_quantization found = {.scale = low == high ? 1 : (high - low) / 255, .low = 0, .high = 255};
  const apus_quantization unit = {.scale = found.scale, .low = 0, .high = 255};
  const float bound = -low;
  uint8_t zero;
  kernels()->quantize(1, &bound, &unit, &zero);
  found.zero = zero;
  return found;
}
