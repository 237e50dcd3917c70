// Functions of rows. Rows of x are `x_stride` floats apart, rows of y `y_stride`; what lies between rows is
// neither read nor written. y may be x, with the same stride, and overlaps nothing in any other way.
#pragma once

#include <stddef.h>

/// e^(xᵢ - max x) / Σ e^(xⱼ - max x). Finite logits of any size give probabilities; a row that holds a NaN or
/// +∞, or nothing but -∞, becomes NaN. Within 3 ULP of the exact result, and the rounding of xᵢ - max x on
/// top: 1 ULP more for each unit of the difference, and where the result is denormal 2^-149.
void apus_softmax(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride);

/// xᵢ - max x - ln Σ e^(xⱼ - max x), with NaN where softmax has it; -∞ stays -∞ beside finite logits. Within
/// 2 ULP of the greatest of 1 and the three terms.
void apus_log_softmax(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride);

/// (xᵢ - mean) / √(variance + epsilon) scaleᵢ + biasᵢ, with the mean of squared differences as variance.
/// `scale` and `bias` are [columns] or null. Mean and variance are taken in two passes and summed in double
/// precision. Without bias within 4 ULP of the result where |xᵢ - mean| is over 2^-20 of |mean|.
void apus_layer_norm(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float epsilon, const float *scale,
  const float *bias, float *y, ptrdiff_t y_stride);
