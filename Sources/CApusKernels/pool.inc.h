// Pools: columns first, then rows. For each row of places, the rows of a plane under the window become one
// line, of maxima or sums, with padding on both sides; windows then pass over that line. After it lie, for an
// average, the numbers of columns under each window.

/// The greater of two; a NaN, if one is.
INLINE vf greatest(vf a, vf b) {
  const vf larger = a > b ? a : b;
  return a != a ? a : larger;
}

INLINE vf pooled(const bool is_maximum, vf a, vf b) { return is_maximum ? greatest(a, b) : a + b; }

INLINE float pooled_float(const bool is_maximum, float a, float b) {
  if (!is_maximum) return a + b;
  return a > b || a != a ? a : b;
}

/// Elements of a window at a place that lie on the input: `lower` up to `upper`.
INLINE void window_range(const apus_axis *axis, ptrdiff_t place, ptrdiff_t *lower, ptrdiff_t *upper) {
  const ptrdiff_t start = place * axis->stride - axis->before, dilation = axis->dilation;
  *lower = start < 0 ? least(axis->kernel, (dilation - 1 - start) / dilation) : 0;
  *upper = start < axis->input ? least(axis->kernel, (axis->input - start + dilation - 1) / dilation) : 0;
  if (*upper < *lower) *upper = *lower;
}

/// Elements of a window at a place that count, at least 1.
INLINE ptrdiff_t window_count(apus_pool_kind kind, const apus_axis *axis, ptrdiff_t place) {
  ptrdiff_t lower, upper;
  window_range(axis, place, &lower, &upper);
  if (kind == apus_pool_padded_average) {
    const ptrdiff_t end = axis->input + axis->after - (place * axis->stride - axis->before);
    lower = 0;
    upper = least(axis->kernel, (end + axis->dilation - 1) / axis->dilation);
  }
  return upper > lower ? upper - lower : 1;
}

/// A line of what lies under the rows of the window, from the column that is the input's first on.
INLINE void pool_columns(
  const bool is_maximum, const float *rows, ptrdiff_t count, ptrdiff_t step, ptrdiff_t columns, float *line) {
  const float none = is_maximum ? -INFINITY : 0;
  if (columns < WIDTH) {
    vf value = splat(none);
    for (ptrdiff_t i = 0; i < count; i++)
      value = pooled(is_maximum, load_some(rows + i * step, columns), value);
    store_some(line, value, columns);
    return;
  }
  for (ptrdiff_t at = 0; at < columns; at += WIDTH) {
    // The last vector overlaps the one before.
    const ptrdiff_t column = least(at, columns - WIDTH);
    vf value = splat(none);
    for (ptrdiff_t i = 0; i < count; i++) value = pooled(is_maximum, load(rows + i * step + column), value);
    store(line + column, value);
  }
}

/// WIDTH numbers of a line, one or two apart.
INLINE vf load_strided(const float *line, const int stride) {
  if (stride == 1) return load(line);
  const vf low = load(line), high = load(line + WIDTH);
#if WIDTH == 4
  return __builtin_shufflevector(low, high, 0, 2, 4, 6);
#elif WIDTH == 8
  return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
#else
  return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#endif
}

/// Windows with a stride of 1 or 2 pass over a line. `counts` are for averages. What is written beyond the
/// row, up to `end`, is written again with the next row.
INLINE void pool_line(
  const bool is_maximum, const int stride, const apus_axis *width, const float *line, const float *counts,
  float rows, float *y, const float *end) {
  for (ptrdiff_t place = 0; place < width->output; place += WIDTH) {
    vf value = load_strided(line + place * stride, stride);
    for (ptrdiff_t i = 1; i < width->kernel; i++)
      value = pooled(is_maximum, load_strided(line + place * stride + i * width->dilation, stride), value);
    if (!is_maximum) value /= load(counts + place) * rows;
    const ptrdiff_t room = end - (y + place);
    if (room >= WIDTH) {
      store(y + place, value);
    } else {
      store_some(y + place, value, room);
    }
  }
}

/// Windows of any stride.
INLINE void pool_line_slowly(
  const bool is_maximum, const apus_axis *width, const float *line, const float *counts, float rows,
  float *y) {
  for (ptrdiff_t place = 0; place < width->output; place++) {
    const float *start = line + place * width->stride;
    float value = *start;
    for (ptrdiff_t i = 1; i < width->kernel; i++)
      value = pooled_float(is_maximum, start[i * width->dilation], value);
    y[place] = is_maximum ? value : value / (counts[place] * rows);
  }
}

INLINE void pool_plane(
  const bool is_maximum, const struct pool *p, const float *x, float *y, float *line, const float *counts,
  const float *end) {
  const apus_axis *height = p->height, *width = p->width;
  for (ptrdiff_t place = 0; place < height->output; place++, y += width->output) {
    ptrdiff_t lower, upper;
    window_range(height, place, &lower, &upper);
    const ptrdiff_t first = place * height->stride - height->before + lower * height->dilation;
    pool_columns(
      is_maximum, x + (upper > lower ? first * width->input : 0), upper - lower,
      height->dilation * width->input, width->input, line + width->before);
    const float rows = is_maximum ? 1 : (float)window_count(p->kind, height, place);
    if (width->stride == 1) {
      pool_line(is_maximum, 1, width, line, counts, rows, y, end);
    } else if (width->stride == 2) {
      pool_line(is_maximum, 2, width, line, counts, rows, y, end);
    } else {
      pool_line_slowly(is_maximum, width, line, counts, rows, y);
    }
  }
}

static void pool(const struct pool *p) {
  const bool is_maximum = p->kind == apus_pool_maximum;
  const ptrdiff_t line_floats = pool_line_floats(p->width);
  float *line = p->scratch, *counts = line + line_floats;
  for (ptrdiff_t i = 0; i < line_floats; i++) line[i] = is_maximum ? -INFINITY : 0;
  if (!is_maximum)
    for (ptrdiff_t place = 0; place < p->width->output; place++)
      counts[place] = (float)window_count(p->kind, p->width, place);
  // Vectors of them are read beyond the last.
  for (ptrdiff_t place = p->width->output; !is_maximum && place < p->width->output + WIDTH; place++)
    counts[place] = 1;
  const ptrdiff_t x_floats = p->height->input * p->width->input;
  const ptrdiff_t y_floats = p->height->output * p->width->output;
  for (ptrdiff_t plane = 0; plane < p->planes; plane++) {
    const float *x = p->x + plane * x_floats;
    float *y = p->y + plane * y_floats;
    if (is_maximum) {
      pool_plane(true, p, x, y, line, counts, p->y + p->planes * y_floats);
    } else {
      pool_plane(false, p, x, y, line, counts, p->y + p->planes * y_floats);
    }
  }
}

INLINE float pool_row(const bool is_maximum, ptrdiff_t columns, const float *x) {
  const float none = is_maximum ? -INFINITY : 0;
  vf values[4] = {splat(none), splat(none), splat(none), splat(none)};
  ptrdiff_t column = 0;
  for (; column + 4 * WIDTH <= columns; column += 4 * WIDTH)
    for (int i = 0; i < 4; i++) values[i] = pooled(is_maximum, load(x + column + i * WIDTH), values[i]);
  for (; column + WIDTH <= columns; column += WIDTH)
    values[0] = pooled(is_maximum, load(x + column), values[0]);
  values[0] = pooled(
    is_maximum, pooled(is_maximum, values[0], values[1]), pooled(is_maximum, values[2], values[3]));
  float result = none;
  for (int lane = 0; lane < WIDTH; lane++) result = pooled_float(is_maximum, values[0][lane], result);
  for (; column < columns; column++) result = pooled_float(is_maximum, x[column], result);
  return is_maximum ? result : result / (float)columns;
}

static void pool_rows(apus_pool_kind kind, ptrdiff_t rows, ptrdiff_t columns, const float *x, float *y) {
  for (ptrdiff_t row = 0; row < rows; row++, x += columns)
    y[row] = kind == apus_pool_maximum ? pool_row(true, columns, x) : pool_row(false, columns, x);
}
