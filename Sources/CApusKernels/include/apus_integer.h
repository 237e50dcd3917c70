// Products of 8-bit numbers in 32 bits, and what lies between them and floats. Integers are exact at every
// level; floats are rounded after each operation as the plain forms of ONNX's operators round them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apus_linear.h"

/// Bytes that packed weights take.
ptrdiff_t apus_integer_packed_bytes(ptrdiff_t inputs, ptrdiff_t outputs);

/// Lays 8-bit weights out for `apus_integer_product`, in `packed`, best at an address that is a multiple of
/// 64.
///
/// `weights` is [outputs, inputs], row by row, or [inputs, outputs] if `is_transposed`, of int8 if
/// `is_signed`; uint8 weights are taken less 128, and so have to be their zero points.
void apus_integer_pack(
  const void *weights, bool is_signed, bool is_transposed, ptrdiff_t outputs, ptrdiff_t inputs,
  int8_t *packed);

/// Bytes of workspace that `apus_integer_product` needs.
ptrdiff_t apus_integer_workspace_bytes(ptrdiff_t rows, ptrdiff_t inputs);

/// y = (x - x_zero) (W - w_zeros)ᵀ in 32 bits, which wrap.
///
/// x is int8 if `is_signed`, or uint8, its rows `x_stride` bytes apart; `x_zero` is any number. `w_zeros` is
/// [outputs], or null where all are 0. Rows of y are `y_stride` integers apart; y and `workspace`, which is
/// aligned to 8, overlap nothing else.
void apus_integer_product(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const void *x, bool is_signed, ptrdiff_t x_stride,
  int32_t x_zero, const int8_t *packed, const int32_t *w_zeros, int32_t *y, ptrdiff_t y_stride,
  void *workspace);

/// How 8-bit numbers stand for floats: (q - zero) · scale.
typedef struct {
  float scale;
  int32_t zero;
  /// The least and the greatest: those of int8 or uint8.
  int32_t low, high;
} apus_quantization;

/// What sums of products become, in this order.
typedef struct {
  /// Each sum is multiplied by `scale` times its output's factor.
  float scale;
  const float *factors;
  /// Whether it is rounded then, half to even, to a whole number within `step`, which is read as a float.
  bool has_step;
  apus_quantization step;
  /// Of each output; null for none.
  const float *bias;
  apus_activation activation;
  float alpha, beta;
} apus_integer_scaling;

/// Floats of sums: rows of both are `outputs` long, one after the other. y may be where the sums are.
void apus_integer_scale(
  ptrdiff_t rows, ptrdiff_t outputs, const int32_t *sums, const apus_integer_scaling *scaling, float *y);

/// The nearest numbers of 8 bits for x / scale, half to even, moved by the zero point and brought into range;
/// the least for what is no number, as 0 / 0.
void apus_quantize(ptrdiff_t count, const float *x, const apus_quantization *quantization, void *q);

/// (q - zero) · scale.
void apus_dequantize(ptrdiff_t count, const void *q, const apus_quantization *quantization, float *x);

/// Scale and zero point that bring the range of all numbers, and 0, to that of uint8: DynamicQuantizeLinear.
apus_quantization apus_dynamic_quantization(ptrdiff_t count, const float *x);
