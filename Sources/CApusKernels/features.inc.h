// Rows of features: scaled, normalized, and compared with support vectors.
//
// What is scaled or normalized is computed in double precision whatever the features are, as ONNX's plain
// forms are here: both give the same bits, but for the order of a norm's sum.

/// A vector of features from element `i` on.
INLINE vd features_at(const apus_feature feature, const void *x, ptrdiff_t i) {
  typedef int64_t vl __attribute__((ext_vector_type(WIDTH)));
  vd number;
  vl whole;
  vi half;
  switch (feature) {
  case apus_feature_float64: memcpy(&number, (const double *)x + i, sizeof number); return number;
  case apus_feature_int64:
    memcpy(&whole, (const int64_t *)x + i, sizeof whole);
    return __builtin_convertvector(whole, vd);
  case apus_feature_int32:
    memcpy(&half, (const int32_t *)x + i, sizeof half);
    return __builtin_convertvector(half, vd);
  default: return doubles(load((const float *)x + i));
  }
}

INLINE double feature_at(const apus_feature feature, const void *x, ptrdiff_t i) {
  switch (feature) {
  case apus_feature_float64: return ((const double *)x)[i];
  case apus_feature_int64: return (double)((const int64_t *)x)[i];
  case apus_feature_int32: return ((const int32_t *)x)[i];
  default: return (double)((const float *)x)[i];
  }
}

INLINE vf floats_of(vd v) { return __builtin_convertvector(v, vf); }

INLINE void scale_feature_rows(
  const apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t x_stride,
  const float *offset, const float *scale, const bool is_one, float *y, ptrdiff_t y_stride) {
  for (ptrdiff_t row = 0; row < rows; row++, y += y_stride) {
    const ptrdiff_t first = row * x_stride;
    ptrdiff_t i = 0;
    for (; i + WIDTH <= columns; i += WIDTH) {
      vd from = doubles(is_one ? splat(*offset) : load(offset + i));
      vd times = doubles(is_one ? splat(*scale) : load(scale + i));
      store(y + i, floats_of((features_at(feature, x, first + i) - from) * times));
    }
    for (; i < columns; i++) {
      double from = (double)offset[is_one ? 0 : i], times = (double)scale[is_one ? 0 : i];
      y[i] = (float)((feature_at(feature, x, first + i) - from) * times);
    }
  }
}

static void scale_features(
  apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t x_stride,
  const float *offset, const float *scale, bool is_one, float *y, ptrdiff_t y_stride) {
#define SCALE(type) \
  if (feature == apus_feature_##type) { \
    const apus_feature kind = apus_feature_##type; \
    if (is_one) scale_feature_rows(kind, rows, columns, x, x_stride, offset, scale, true, y, y_stride); \
    else scale_feature_rows(kind, rows, columns, x, x_stride, offset, scale, false, y, y_stride); \
  }
  SCALE(float32)
  SCALE(float64)
  SCALE(int64)
  SCALE(int32)
#undef SCALE
}

INLINE double greatest_feature(
  const apus_feature feature, ptrdiff_t columns, const void *x, ptrdiff_t first) {
  // Nothing is above a NaN: one in the first place stays in all lanes.
  double result = feature_at(feature, x, first);
  vd most = (vd)result;
  ptrdiff_t i = 0;
  for (; i + WIDTH <= columns; i += WIDTH) {
    vd v = features_at(feature, x, first + i);
    most = v > most ? v : most;
  }
  for (int lane = 0; lane < WIDTH; lane++) result = most[lane] > result ? most[lane] : result;
  for (; i < columns; i++) {
    double v = feature_at(feature, x, first + i);
    result = v > result ? v : result;
  }
  return result;
}

INLINE double norm_of(
  const apus_norm norm, const apus_feature feature, ptrdiff_t columns, const void *x, ptrdiff_t first) {
  if (norm == apus_norm_greatest) return greatest_feature(feature, columns, x, first);
  vd sums = {0};
  ptrdiff_t i = 0;
  for (; i + WIDTH <= columns; i += WIDTH) {
    vd v = features_at(feature, x, first + i);
    sums += norm == apus_norm_absolute ? __builtin_elementwise_abs(v) : v * v;
  }
  double sum = sum_of_lanes(sums);
  for (; i < columns; i++) {
    double v = feature_at(feature, x, first + i);
    sum += norm == apus_norm_absolute ? fabs(v) : v * v;
  }
  return norm == apus_norm_absolute ? sum : sqrt(sum);
}

INLINE void normalize_rows(
  apus_norm norm, const apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x,
  ptrdiff_t x_stride, float *y, ptrdiff_t y_stride) {
  for (ptrdiff_t row = 0; row < rows; row++, y += y_stride) {
    const ptrdiff_t first = row * x_stride;
    double divisor =
      norm == apus_norm_greatest ? norm_of(apus_norm_greatest, feature, columns, x, first)
      : norm == apus_norm_absolute ? norm_of(apus_norm_absolute, feature, columns, x, first)
                                   : norm_of(apus_norm_euclidean, feature, columns, x, first);
    if (divisor == 0) divisor = 1;
    ptrdiff_t i = 0;
    for (; i + WIDTH <= columns; i += WIDTH)
      store(y + i, floats_of(features_at(feature, x, first + i) / (vd)divisor));
    for (; i < columns; i++) y[i] = (float)(feature_at(feature, x, first + i) / divisor);
  }
}

static void normalize_features(
  apus_norm norm, apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t x_stride,
  float *y, ptrdiff_t y_stride) {
  switch (feature) {
#define NORMALIZE(type) \
  case apus_feature_##type: \
    normalize_rows(norm, apus_feature_##type, rows, columns, x, x_stride, y, y_stride); \
    break;
    NORMALIZE(float32)
    NORMALIZE(float64)
    NORMALIZE(int64)
    NORMALIZE(int32)
#undef NORMALIZE
  }
}

/// Parts that a sum of squares is computed in, so that additions need not wait for each other.
#define SQUARE_PARTS 4

INLINE void add_squares(float x, const float *w, vf sums[PANEL_VECTORS]) {
  for (int v = 0; v < PANEL_VECTORS; v++) {
    vf difference = splat(x) - load(w + v * WIDTH);
    sums[v] = fma_(difference, difference, sums[v]);
  }
}

/// One row of x by one panel, whose last columns may be none of the outputs.
INLINE void panel_distances(
  ptrdiff_t inputs, ptrdiff_t columns, const float *x, const float *w, float factor, float *y) {
  vf sums[SQUARE_PARTS][PANEL_VECTORS] = {0};
  ptrdiff_t k = 0;
  for (; k + SQUARE_PARTS <= inputs; k += SQUARE_PARTS, w += SQUARE_PARTS * PANEL)
    for (int part = 0; part < SQUARE_PARTS; part++) add_squares(x[k + part], w + part * PANEL, sums[part]);
  for (; k < inputs; k++, w += PANEL) add_squares(x[k], w, sums[0]);
  for (int v = 0; v < PANEL_VECTORS; v++) {
    const ptrdiff_t left = columns - v * WIDTH;
    vf sum = ((sums[0][v] + sums[1][v]) + (sums[2][v] + sums[3][v])) * splat(factor);
    if (left >= WIDTH) {
      store(y + v * WIDTH, sum);
    } else if (left > 0) {
      store_some(y + v * WIDTH, sum, left);
    }
  }
}

static void distances(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const float *x, ptrdiff_t x_stride,
  const float *packed, float factor, float *y, ptrdiff_t y_stride) {
  for (ptrdiff_t first = 0; first < outputs; first += PANEL, packed += inputs * PANEL)
    for (ptrdiff_t row = 0; row < rows; row++)
      panel_distances(
        inputs, least(outputs - first, PANEL), x + row * x_stride, packed, factor,
        y + row * y_stride + first);
}

static double dot_product(ptrdiff_t count, const float *a, const float *b) {
  vd sums[2] = {{0}, {0}};
  ptrdiff_t i = 0;
  for (; i + 2 * WIDTH <= count; i += 2 * WIDTH)
    for (int part = 0; part < 2; part++)
      sums[part] += doubles(load(a + i + part * WIDTH) * load(b + i + part * WIDTH));
  for (; i + WIDTH <= count; i += WIDTH) sums[0] += doubles(load(a + i) * load(b + i));
  if (i < count) sums[1] += doubles(load_some(a + i, count - i) * load_some(b + i, count - i));
  return sum_of_lanes(sums[0] + sums[1]);
}
