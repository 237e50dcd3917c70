// Products of matrices: the linear layer of a network, y = activation(x Wᵀ + b), and C = A B.
#pragma once

#include <stdbool.h>
#include <stddef.h>

/// What a linear layer applies to each of its sums. A NaN stays a NaN.
typedef enum {
  apus_activation_none = 0,
  apus_activation_relu = 1,
  /// The nearest number from `alpha` to `beta`.
  apus_activation_clip = 2,
  /// v where v ≥ 0, otherwise `alpha` v.
  apus_activation_leaky = 3,
  apus_activation_sigmoid = 4,
  apus_activation_tanh = 5,
  /// GELU by erf, as `apus_gelu`.
  apus_activation_gelu = 6,
  /// GELU by tanh, as `apus_gelu_tanh`.
  apus_activation_gelu_tanh = 7,
} apus_activation;

/// Floats that packed weights of a layer take.
ptrdiff_t apus_linear_packed_floats(ptrdiff_t inputs, ptrdiff_t outputs);

/// Lays weights out for `apus_linear`, in `packed`: `apus_linear_packed_floats(inputs, outputs)` floats, best
/// at an address that is a multiple of 64. The layout is the same for all levels and numbers of rows.
///
/// `weights` is [outputs, inputs], row by row, as PyTorch's Linear has it, or [inputs, outputs] if
/// `is_transposed`.
void apus_linear_pack(
  const float *weights, bool is_transposed, ptrdiff_t outputs, ptrdiff_t inputs, float *packed);

/// y = activation(x Wᵀ + bias) for rows of x that are `x_stride` floats apart and rows of y that are
/// `y_stride` apart.
///
/// `bias` is [outputs] or null. `alpha` and `beta` are the activation's. What lies between rows is neither
/// read nor written. y overlaps nothing else. Products are summed in float32 in an order that depends on the
/// number of rows and on the level: a row by itself and the same row in a batch may differ in the last bits.
void apus_linear(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const float *x, ptrdiff_t x_stride,
  const float *packed, const float *bias, apus_activation activation, float alpha, float beta, float *y, ptrdiff_t y_stride);

/// y = x Wᵀ + bias for one row x, made for few outputs. `weights` is [outputs, inputs], row by row; `bias` is
/// [outputs] or null. y overlaps nothing else.
void apus_dot_products(
  ptrdiff_t inputs, ptrdiff_t outputs, const float *x, const float *weights, const float *bias, float *y);
