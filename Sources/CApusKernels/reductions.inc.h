// Sums, means and extremes along an axis, and norms along one that is not the last.
//
// Where the axis is the last one, a row becomes one number as in `rows.inc.h`. Otherwise lanes are columns:
// some vectors of neighbouring columns go down all rows with their sums in registers.
//
//        inner                      | vector | vector | ...        a block of columns
//   +---------------+               |        |        |
//   | count rows    |   becomes     v        v        v            of each row, one after the other

/// Vectors of columns that go down together.
#define BLOCK_VECTORS 4

/// The first `count` floats, or a whole vector; `count` is known to the compiler where it is one.
INLINE vf load_up_to(const float *p, ptrdiff_t count) {
  return count >= WIDTH ? load(p) : load_some(p, count);
}
INLINE void store_up_to(float *p, vf v, ptrdiff_t count) {
  if (count >= WIDTH) store(p, v);
  else store_some(p, v, count);
}

/// Extremes of columns so far. A NaN stays, as it is in neither order.
INLINE vf greatest_of(vf most, vf value) { return most != most ? most : greater(most, value); }
INLINE vf least_of(vf least, vf value) { return least != least ? least : lesser(least, value); }

/// `vectors` neighbouring vectors of columns; `width` floats of the last one.
INLINE void reduce_block(
  const apus_reduction reduction, const int vectors, ptrdiff_t width, ptrdiff_t count, ptrdiff_t inner,
  const float *x, float *y) {
  if (reduction == apus_reduce_sum || reduction == apus_reduce_mean) {
    vd sums[BLOCK_VECTORS];
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[v] = (vd){0};
    for (ptrdiff_t row = 0; row < count; row++, x += inner)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sums[v] += doubles(load_up_to(x + v * WIDTH, width));
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      vd result = reduction == apus_reduce_mean ? sums[v] / (double)count : sums[v];
      store_up_to(y + v * WIDTH, __builtin_convertvector(result, vf), width);
    }
  } else {
    const bool is_max = reduction == apus_reduce_max;
    vf best[BLOCK_VECTORS];
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) best[v] = splat(is_max ? -INFINITY : INFINITY);
    for (ptrdiff_t row = 0; row < count; row++, x += inner)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) {
        vf value = load_up_to(x + v * WIDTH, width);
        best[v] = is_max ? greatest_of(best[v], value) : least_of(best[v], value);
      }
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) store_up_to(y + v * WIDTH, best[v], width);
  }
}

INLINE float extreme_of_lanes(vf v, const bool is_max) {
  float result = v[0];
  for (int lane = 1; lane < WIDTH; lane++)
    if (result == result && !(is_max ? v[lane] <= result : v[lane] >= result)) result = v[lane];
  return result;
}

INLINE float extreme_of_row(ptrdiff_t count, const float *x, const bool is_max) {
  vf best[BLOCK_VECTORS];
  for (int v = 0; v < BLOCK_VECTORS; v++) best[v] = splat(is_max ? -INFINITY : INFINITY);
  ptrdiff_t i = 0;
  for (; i + BLOCK_VECTORS * WIDTH <= count; i += BLOCK_VECTORS * WIDTH)
    for (int v = 0; v < BLOCK_VECTORS; v++) {
      vf value = load(x + i + v * WIDTH);
      best[v] = is_max ? greatest_of(best[v], value) : least_of(best[v], value);
    }
  for (; i < count; i += WIDTH) {
    const ptrdiff_t rest = count - i;
    vf value = load_up_to(x + i, rest);
    if (rest < WIDTH) value = in_first(rest, value, best[0]);
    best[0] = is_max ? greatest_of(best[0], value) : least_of(best[0], value);
  }
  vf all = best[0];
  for (int v = 1; v < BLOCK_VECTORS; v++)
    all = is_max ? greatest_of(all, best[v]) : least_of(all, best[v]);
  return extreme_of_lanes(all, is_max);
}

INLINE void reduce_as(
  const apus_reduction reduction, ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x,
  float *y) {
  for (; outer > 0; outer--, x += count * inner, y += inner) {
    if (inner == 1) {
      switch (reduction) {
      case apus_reduce_sum: *y = (float)sum_of(count, x); break;
      case apus_reduce_mean: *y = (float)(sum_of(count, x) / (double)count); break;
      default: *y = extreme_of_row(count, x, reduction == apus_reduce_max); break;
      }
      continue;
    }
    ptrdiff_t column = 0;
    for (; column + BLOCK_VECTORS * WIDTH <= inner; column += BLOCK_VECTORS * WIDTH)
      reduce_block(reduction, BLOCK_VECTORS, WIDTH, count, inner, x + column, y + column);
    for (; column + WIDTH <= inner; column += WIDTH)
      reduce_block(reduction, 1, WIDTH, count, inner, x + column, y + column);
    if (column < inner) reduce_block(reduction, 1, inner - column, count, inner, x + column, y + column);
  }
}

static void reduce_axis(
  apus_reduction reduction, ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float *y) {
  switch (reduction) {
  case apus_reduce_sum: reduce_as(apus_reduce_sum, outer, count, inner, x, y); break;
  case apus_reduce_mean: reduce_as(apus_reduce_mean, outer, count, inner, x, y); break;
  case apus_reduce_max: reduce_as(apus_reduce_max, outer, count, inner, x, y); break;
  case apus_reduce_min: reduce_as(apus_reduce_min, outer, count, inner, x, y); break;
  }
}

INLINE void extremes_block(
  const int vectors, ptrdiff_t width, ptrdiff_t count, ptrdiff_t inner, const float *x, float *low,
  float *high) {
  vf least[BLOCK_VECTORS], most[BLOCK_VECTORS];
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; v++) {
    least[v] = splat(INFINITY);
    most[v] = splat(-INFINITY);
  }
  for (ptrdiff_t row = 0; row < count; row++, x += inner)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      vf value = load_up_to(x + v * WIDTH, width);
      least[v] = least_of(least[v], value);
      most[v] = greatest_of(most[v], value);
    }
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; v++) {
    store_up_to(low + v * WIDTH, least[v], width);
    store_up_to(high + v * WIDTH, most[v], width);
  }
}

static void extremes(
  ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float *low, float *high) {
  for (; outer > 0; outer--, x += count * inner, low += inner, high += inner) {
    if (inner == 1) {
      *low = extreme_of_row(count, x, false);
      *high = extreme_of_row(count, x, true);
      continue;
    }
    ptrdiff_t column = 0;
    for (; column + BLOCK_VECTORS * WIDTH <= inner; column += BLOCK_VECTORS * WIDTH)
      extremes_block(BLOCK_VECTORS, WIDTH, count, inner, x + column, low + column, high + column);
    for (; column < inner; column += WIDTH) {
      const ptrdiff_t width = inner - column;
      if (width >= WIDTH) extremes_block(1, WIDTH, count, inner, x + column, low + column, high + column);
      else extremes_block(1, width, count, inner, x + column, low + column, high + column);
    }
  }
}

/// The means of some columns, in two parts, and what their deviations are multiplied by.
struct column_moments {
  vf mean, mean_rest, factor;
};

/// One pass: sums of differences to the first row, and of their squares.
INLINE void find_moments(
  const int vectors, ptrdiff_t width, ptrdiff_t count, ptrdiff_t inner, const float *x, float epsilon,
  struct column_moments *moments) {
  vd first[2], sum[2], squares[2];
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; v++) {
    first[v] = doubles(load_up_to(x + v * WIDTH, width));
    sum[v] = squares[v] = (vd){0};
  }
  for (ptrdiff_t row = 0; row < count; row++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      vd difference = doubles(load_up_to(x + row * inner + v * WIDTH, width)) - first[v];
      sum[v] += difference;
      squares[v] += difference * difference;
    }
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; v++) {
    vd offset = sum[v] / (double)count;
    vd mean = first[v] + offset;
    vd variance = squares[v] / (double)count - offset * offset;
    variance = variance < 0 ? (vd){0} : variance;
    moments[v].mean = __builtin_convertvector(mean, vf);
    moments[v].mean_rest = __builtin_convertvector(mean - doubles(moments[v].mean), vf);
    vd deviation = __builtin_elementwise_sqrt(variance + (double)epsilon);
    moments[v].factor = __builtin_convertvector(1 / deviation, vf);
  }
}

INLINE void norm_block(
  const int vectors, ptrdiff_t width, ptrdiff_t count, ptrdiff_t inner, const float *x, float epsilon,
  const float *gamma, const float *bias, float *y) {
  struct column_moments moments[2];
  find_moments(vectors, width, count, inner, x, epsilon, moments);
  for (ptrdiff_t row = 0; row < count; row++, x += inner, y += inner) {
    vf scale = splat(gamma ? gamma[row] : 1), shift = splat(bias ? bias[row] : 0);
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      vf deviation = load_up_to(x + v * WIDTH, width) - moments[v].mean - moments[v].mean_rest;
      store_up_to(y + v * WIDTH, fma_(deviation * moments[v].factor, scale, shift), width);
    }
  }
}

static void axis_norm(
  ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float epsilon, const float *gamma,
  const float *bias, float *y) {
  for (; outer > 0; outer--, x += count * inner, y += count * inner) {
    ptrdiff_t column = 0;
    for (; column + 2 * WIDTH <= inner; column += 2 * WIDTH)
      norm_block(2, WIDTH, count, inner, x + column, epsilon, gamma, bias, y + column);
    for (; column < inner; column += WIDTH) {
      const ptrdiff_t width = inner - column;
      if (width >= WIDTH) norm_block(1, WIDTH, count, inner, x + column, epsilon, gamma, bias, y + column);
      else norm_block(1, width, count, inner, x + column, epsilon, gamma, bias, y + column);
    }
  }
}

static void arg_max(ptrdiff_t rows, ptrdiff_t columns, const float *x, bool selects_last, long long *y) {
  for (; rows > 0; rows--, x += columns, y++) {
    *y = 0;
    if (x[0] != x[0]) continue;
    const float most = maximum(columns, x);
    ptrdiff_t place = selects_last ? columns - 1 : 0;
    while (x[place] != most) place += selects_last ? -1 : 1;
    *y = place;
  }
}
