// One number of many along the middle axis of arrays [outer, count, inner]. x and y overlap nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum {
  /// In double precision; 0 of nothing.
  apus_reduce_sum = 0,
  /// In double precision; NaN of nothing.
  apus_reduce_mean = 1,
  /// A NaN if there is one; -∞ of nothing.
  apus_reduce_max = 2,
  /// A NaN if there is one; +∞ of nothing.
  apus_reduce_min = 3,
} apus_reduction;

/// y is [outer, inner].
void apus_reduce(
  apus_reduction reduction, ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float *y);

/// The least and the greatest at once, [outer, inner] each; both NaN where there is one.
void apus_extremes(
  ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float *least, float *greatest);

/// (x - mean) / √(variance + epsilon) scale + bias along the middle axis, with the mean of squared
/// differences as variance: y is of x's shape and may be x, `scale` and `bias` are [count] or null. Sums are
/// in double precision, of differences to the first number, so that a large mean costs no digits. As exact
/// as `apus_layer_norm`, which is meant for an inner size of 1.
void apus_axis_norm(
  ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float epsilon, const float *scale,
  const float *bias, float *y);

/// Where the greatest number of each of `rows` rows is: the first of equal ones, or the last. A NaN is passed
/// over, unless it is the row's first number, which then is the answer. `columns` is at least 1.
void apus_arg_max(ptrdiff_t rows, ptrdiff_t columns, const float *x, bool selects_last, long long *y);
