// What `apus_half.h` promises, by the kernels of the present level.
#include <string.h>

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

/// The 16 bits of a float that is exactly one; false: it is none. A NaN is none.
static bool narrow_to_float16(uint32_t bits, uint16_t *narrowed) {
  const uint32_t sign = bits >> 16 & 0x8000, exponent = bits >> 23 & 0xff, fraction = bits & 0x7fffff;
  if (exponent == 0xff || (exponent == 0 && fraction == 0)) {
    *narrowed = (uint16_t)(sign | (exponent == 0 ? 0 : 0x7c00));
    return fraction == 0;
  }
  if (exponent >= 113 && exponent <= 142) {
    *narrowed = (uint16_t)(sign | (exponent - 112) << 10 | fraction >> 13);
    return (fraction & 0x1fff) == 0;
  }
  // Below 2^-14 they are multiples of 2^-24.
  if (exponent < 103 || exponent > 142) return false;
  const uint32_t shift = 126 - exponent, whole = fraction | 0x800000;
  *narrowed = (uint16_t)(sign | whole >> shift);
  return (whole & ((1u << shift) - 1)) == 0;
}

bool apus_half_narrow(ptrdiff_t count, const float *numbers, apus_half format, uint16_t *narrowed) {
  for (ptrdiff_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, numbers + i, sizeof bits);
    if (format == apus_half_bfloat16) {
      if (bits & 0xffff) return false;
      narrowed[i] = (uint16_t)(bits >> 16);
    } else if (!narrow_to_float16(bits, narrowed + i)) {
      return false;
    }
  }
  return true;
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
