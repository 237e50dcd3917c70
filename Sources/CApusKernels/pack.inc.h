// Lays weights out in the panels of `linear_tile.inc.h`: of [inputs, outputs] lines are copied, of [outputs,
// inputs] squares of 4 × 4 are turned.

typedef float v4 __attribute__((ext_vector_type(4)));
typedef float v4_unaligned __attribute__((ext_vector_type(4), aligned(4), may_alias));

/// Four rows of b, `stride` apart, become four columns of lines, `line` apart.
INLINE void turn_square(const float *b, ptrdiff_t stride, float *packed, ptrdiff_t line) {
  v4 row_0 = *(const v4_unaligned *)b, row_1 = *(const v4_unaligned *)(b + stride);
  v4 row_2 = *(const v4_unaligned *)(b + 2 * stride), row_3 = *(const v4_unaligned *)(b + 3 * stride);
  v4 low_01 = __builtin_shufflevector(row_0, row_1, 0, 4, 1, 5);
  v4 high_01 = __builtin_shufflevector(row_0, row_1, 2, 6, 3, 7);
  v4 low_23 = __builtin_shufflevector(row_2, row_3, 0, 4, 1, 5);
  v4 high_23 = __builtin_shufflevector(row_2, row_3, 2, 6, 3, 7);
  *(v4_unaligned *)packed = __builtin_shufflevector(low_01, low_23, 0, 1, 4, 5);
  *(v4_unaligned *)(packed + line) = __builtin_shufflevector(low_01, low_23, 2, 3, 6, 7);
  *(v4_unaligned *)(packed + 2 * line) = __builtin_shufflevector(high_01, high_23, 0, 1, 4, 5);
  *(v4_unaligned *)(packed + 3 * line) = __builtin_shufflevector(high_01, high_23, 2, 3, 6, 7);
}

/// A panel of `columns` rows of b.
INLINE void turn_panel(ptrdiff_t columns, ptrdiff_t k, const float *b, ptrdiff_t stride, float *packed) {
  const ptrdiff_t whole_columns = columns & ~3, whole_inputs = k & ~3;
  for (ptrdiff_t input = 0; input < whole_inputs; input += 4) {
    float *line = packed + input * PANEL;
    for (ptrdiff_t column = 0; column < whole_columns; column += 4)
      turn_square(b + column * stride + input, stride, line + column, PANEL);
    for (int i = 0; i < 4; i++)
      for (ptrdiff_t column = whole_columns; column < PANEL; column++)
        line[i * PANEL + column] = column < columns ? b[column * stride + input + i] : 0;
  }
  for (ptrdiff_t input = whole_inputs; input < k; input++)
    for (ptrdiff_t column = 0; column < PANEL; column++)
      packed[input * PANEL + column] = column < columns ? b[column * stride + input] : 0;
}

/// A panel of `columns` columns of b.
INLINE void copy_panel(ptrdiff_t columns, ptrdiff_t k, const float *b, ptrdiff_t stride, float *packed) {
  for (; k > 0; k--, b += stride, packed += PANEL) {
    if (columns == PANEL) {
      for (int v = 0; v < PANEL_VECTORS; v++) store(packed + v * WIDTH, load(b + v * WIDTH));
    } else {
      for (ptrdiff_t column = 0; column < PANEL; column++) packed[column] = column < columns ? b[column] : 0;
    }
  }
}

static void pack(
  ptrdiff_t outputs, ptrdiff_t inputs, const float *weights, bool is_transposed, float *packed) {
  for (ptrdiff_t first = 0; first < outputs; first += PANEL, packed += inputs * PANEL) {
    const ptrdiff_t columns = least(outputs - first, PANEL);
    if (is_transposed) {
      copy_panel(columns, inputs, weights + first, outputs, packed);
    } else {
      turn_panel(columns, inputs, weights + first * inputs, inputs, packed);
    }
  }
}
