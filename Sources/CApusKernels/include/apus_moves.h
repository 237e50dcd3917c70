// The same elements in another order.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// y[column][row] = x[row][column] for elements of 4 bytes. Rows of x are `x_stride` elements apart, those of
/// y, of which there are as many as x has columns, `y_stride`. x and y do not overlap.
void apus_transpose_4(
  ptrdiff_t rows, ptrdiff_t columns, const uint32_t *x, ptrdiff_t x_stride, uint32_t *y, ptrdiff_t y_stride);

/// The same for elements of 8 bytes.
void apus_transpose_8(
  ptrdiff_t rows, ptrdiff_t columns, const uint64_t *x, ptrdiff_t x_stride, uint64_t *y, ptrdiff_t y_stride);
