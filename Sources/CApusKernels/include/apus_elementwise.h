// Simple arithmetic of arrays; y may be any of the others, and overlaps them in no other way.
#pragma once

#include <stddef.h>

/// v where v ≥ 0, otherwise 0; a NaN stays a NaN.
void apus_relu(ptrdiff_t count, const float *x, float *y);
void apus_add(ptrdiff_t count, const float *a, const float *b, float *y);
void apus_multiply(ptrdiff_t count, const float *a, const float *b, float *y);

/// Adds one row of `columns` floats to each row of x, `x_stride` apart, giving those of y, `y_stride` apart.
void apus_add_row(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, const float *row, float *y,
  ptrdiff_t y_stride);
