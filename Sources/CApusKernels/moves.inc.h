// Transposes: squares of 4 × 4 elements are turned in registers. They are taken in blocks of 16 × 16, so that
// every line that is read or written is used whole before it leaves the first-level cache.

#define TURNED 16

INLINE void transpose_rest_4(
  ptrdiff_t rows, ptrdiff_t columns, const uint32_t *x, ptrdiff_t x_stride, uint32_t *y, ptrdiff_t y_stride) {
  for (ptrdiff_t column = 0; column < columns; column++)
    for (ptrdiff_t row = 0; row < rows; row++) y[column * y_stride + row] = x[row * x_stride + column];
}

static void transpose_4(
  ptrdiff_t rows, ptrdiff_t columns, const uint32_t *x, ptrdiff_t x_stride, uint32_t *y, ptrdiff_t y_stride) {
  for (ptrdiff_t top = 0; top < rows; top += TURNED)
    for (ptrdiff_t left = 0; left < columns; left += TURNED) {
      const ptrdiff_t bottom = least(rows, top + TURNED), right = least(columns, left + TURNED);
      const ptrdiff_t whole_bottom = top + ((bottom - top) & ~3), whole_right = left + ((right - left) & ~3);
      for (ptrdiff_t row = top; row < whole_bottom; row += 4)
        for (ptrdiff_t column = left; column < whole_right; column += 4)
          turn_square(
            (const float *)(x + row * x_stride + column), x_stride,
            (float *)(y + column * y_stride + row), y_stride);
      transpose_rest_4(
        bottom - top, right - whole_right, x + top * x_stride + whole_right, x_stride,
        y + whole_right * y_stride + top, y_stride);
      transpose_rest_4(
        bottom - whole_bottom, whole_right - left, x + whole_bottom * x_stride + left, x_stride,
        y + left * y_stride + whole_bottom, y_stride);
    }
}

static void transpose_8(
  ptrdiff_t rows, ptrdiff_t columns, const uint64_t *x, ptrdiff_t x_stride, uint64_t *y, ptrdiff_t y_stride) {
  for (ptrdiff_t top = 0; top < rows; top += TURNED)
    for (ptrdiff_t left = 0; left < columns; left += TURNED) {
      const ptrdiff_t bottom = least(rows, top + TURNED), right = least(columns, left + TURNED);
      for (ptrdiff_t column = left; column < right; column++)
        for (ptrdiff_t row = top; row < bottom; row++)
          y[column * y_stride + row] = x[row * x_stride + column];
    }
}
