// Linear layers whose weights stay 16 bits wide in memory. They are widened, exactly, when they are read: a
// row by itself waits for half as many bytes as with weights of 32 bits.
#pragma once

#include <stdint.h>

#include "apus_linear.h"

/// What 16 bits are.
typedef enum {
  /// IEEE 754 binary16.
  apus_half_float16 = 1,
  /// The upper half of a float.
  apus_half_bfloat16 = 2,
} apus_half;

/// Numbers of 16 bits that packed weights of a layer take.
ptrdiff_t apus_linear_half_packed_count(ptrdiff_t inputs, ptrdiff_t outputs);

/// Lays weights out for `apus_linear_half`, in `packed`: `apus_linear_half_packed_count(inputs, outputs)`
/// numbers, best at an address that is a multiple of 64. `weights` is as that of `apus_linear_pack`.
void apus_linear_half_pack(
  const uint16_t *weights, bool is_transposed, ptrdiff_t outputs, ptrdiff_t inputs, uint16_t *packed);

/// Narrows floats to 16 bits.
///
/// Returns whether each of them is exactly such a number; what is written is of use only then. Stops at the
/// first that is not.
bool apus_half_narrow(ptrdiff_t count, const float *numbers, apus_half format, uint16_t *narrowed);

/// What `apus_linear` does, with weights of 16 bits.
void apus_linear_half(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const float *x, ptrdiff_t x_stride,
  const uint16_t *packed, apus_half format, const float *bias, apus_activation activation, float alpha,
  float beta, float *y, ptrdiff_t y_stride);
