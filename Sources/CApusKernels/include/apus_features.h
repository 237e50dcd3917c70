// What trained classifiers make of rows of features: scaled and normalized rows, and how far they are from
// support vectors. Rows of x are `x_stride` elements apart, rows of y `y_stride` floats; y overlaps nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>

/// What features are.
typedef enum {
  apus_feature_float32 = 0,
  apus_feature_float64 = 1,
  apus_feature_int64 = 2,
  apus_feature_int32 = 3,
} apus_feature;

/// (x - offset) scale in double precision, rounded once. `offset` and `scale` are [columns], or one number
/// each if `is_one`.
void apus_scale_features(
  apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t x_stride,
  const float *offset, const float *scale, bool is_one, float *y, ptrdiff_t y_stride);

/// What a row is divided by.
typedef enum {
  /// Its greatest number. A NaN is passed over, unless it is the row's first number, which then is what the
  /// row is divided by.
  apus_norm_greatest = 0,
  /// Σ |x|
  apus_norm_absolute = 1,
  /// √Σ x²
  apus_norm_euclidean = 2,
} apus_norm;

/// Rows divided by their norms in double precision, rounded once; a row of norm 0 stays as it is. `columns`
/// is at least 1.
void apus_normalize_features(
  apus_norm norm, apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t x_stride,
  float *y, ptrdiff_t y_stride);

/// `factor` Σ (x - w)² for each row of x and each of `outputs` rows w of as many numbers, which
/// `apus_linear_pack` has laid out. Squares are summed in float32, in an order that depends on the level, and
/// no digits cancel.
void apus_distances(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const float *x, ptrdiff_t x_stride,
  const float *packed, float factor, float *y, ptrdiff_t y_stride);

/// Σ a b: products are rounded to float32, and summed in double precision.
double apus_dot(ptrdiff_t count, const float *a, const float *b);
