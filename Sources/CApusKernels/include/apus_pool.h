// Pools over planes of one or two dimensions.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "apus_conv.h"

typedef enum {
  /// The largest number under the window; a NaN, if there is one; -∞ where the window holds nothing.
  apus_pool_maximum = 0,
  /// The mean of what lies under the window, padding not counted; 0 where it holds nothing.
  apus_pool_average = 1,
  /// The same with padding as zeros.
  apus_pool_padded_average = 2,
} apus_pool_kind;

/// Floats of scratch memory that `apus_pool` needs; 0: the sizes are too large to compute with.
ptrdiff_t apus_pool_scratch_floats(const apus_axis *height, const apus_axis *width);

/// Pools each plane of x, [planes, height, width], into one of y. Sums are taken in float32, columns first.
void apus_pool(
  apus_pool_kind kind, ptrdiff_t planes, const apus_axis *height, const apus_axis *width, const float *x,
  float *y, float *scratch);

/// Maximum or average of each of `rows` rows of `columns` numbers, at least one, that follow one another.
void apus_pool_rows(apus_pool_kind kind, ptrdiff_t rows, ptrdiff_t columns, const float *x, float *y);
