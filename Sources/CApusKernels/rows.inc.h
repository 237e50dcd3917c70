// Softmax, log-softmax and layer norm of rows, and sums and products of arrays.
//
// Sums are kept in double precision, so that rows of any length lose nothing.

typedef double vd __attribute__((ext_vector_type(WIDTH)));

INLINE vd doubles(vf v) { return __builtin_convertvector(v, vd); }

INLINE double sum_of_lanes(vd v) {
  double sum = 0;
  for (int lane = 0; lane < WIDTH; lane++) sum += v[lane];
  return sum;
}

/// `value` in the first lanes, `other` in the rest.
INLINE vf in_first(ptrdiff_t count, vf value, vf other) {
  return lanes() < (vi)(int32_t)count ? value : other;
}

/// NaNs are passed over.
INLINE float maximum(ptrdiff_t count, const float *x) {
  vf most[4] = {splat(-INFINITY), splat(-INFINITY), splat(-INFINITY), splat(-INFINITY)};
  ptrdiff_t i = 0;
  for (; i + 4 * WIDTH <= count; i += 4 * WIDTH)
    for (int part = 0; part < 4; part++) most[part] = greater(load(x + i + part * WIDTH), most[part]);
  for (; i + WIDTH <= count; i += WIDTH) most[0] = greater(load(x + i), most[0]);
  if (i < count)
    most[1] = greater(in_first(count - i, load_some(x + i, count - i), splat(-INFINITY)), most[1]);
  vf v = greater(greater(most[0], most[1]), greater(most[2], most[3]));
  float result = v[0];
  for (int lane = 1; lane < WIDTH; lane++) result = v[lane] > result ? v[lane] : result;
  return result;
}

/// e^x for x ≤ 0.
INLINE vf exp_below_1(vf x) {
  struct reduced r = reduce(greater(splat(-104), x));
  return scale(exp_of_rest(r.rest), r.power);
}

/// Σ e^(x - most), whose terms are stored in y unless it is null. With +∞ or only -∞ in x, or with a NaN, the
/// sum is NaN, as ∞ - ∞ is.
INLINE double sum_of_powers(ptrdiff_t count, const float *x, float most, float *y) {
  vd sum = {0};
  ptrdiff_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH) {
    vf power = exp_below_1(load(x + i) - splat(most));
    if (y) store(y + i, power);
    sum += doubles(power);
  }
  if (i < count) {
    vf power = exp_below_1(load_some(x + i, count - i) - splat(most));
    if (y) store_some(y + i, power, count - i);
    sum += doubles(in_first(count - i, power, splat(0)));
  }
  return sum_of_lanes(sum);
}

static void softmax(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride) {
  for (; rows > 0; rows--, x += x_stride, y += y_stride) {
    vf factor = splat((float)(1 / sum_of_powers(columns, x, maximum(columns, x), y)));
    ptrdiff_t i = 0;
    for (; i + WIDTH <= columns; i += WIDTH) store(y + i, load(y + i) * factor);
    if (i < columns) store_some(y + i, load_some(y + i, columns - i) * factor, columns - i);
  }
}

static void log_softmax(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride) {
  for (; rows > 0; rows--, x += x_stride, y += y_stride) {
    float most = maximum(columns, x);
    vf subtracted = splat((float)log(sum_of_powers(columns, x, most, 0)));
    ptrdiff_t i = 0;
    for (; i + WIDTH <= columns; i += WIDTH) store(y + i, load(x + i) - splat(most) - subtracted);
    if (i < columns)
      store_some(y + i, load_some(x + i, columns - i) - splat(most) - subtracted, columns - i);
  }
}

INLINE double sum_of(ptrdiff_t count, const float *x) {
  vd sum = {0};
  ptrdiff_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH) sum += doubles(load(x + i));
  if (i < count) sum += doubles(load_some(x + i, count - i));
  return sum_of_lanes(sum);
}

/// x less a mean in two parts: the first difference is exact where x is near it.
INLINE vf deviation(vf x, float mean, float mean_rest) { return x - splat(mean) - splat(mean_rest); }

INLINE double sum_of_squares(ptrdiff_t count, const float *x, float mean, float mean_rest) {
  vd sum = {0};
  ptrdiff_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH) {
    vd d = doubles(deviation(load(x + i), mean, mean_rest));
    sum += d * d;
  }
  if (i < count) {
    vd d = doubles(in_first(count - i, deviation(load_some(x + i, count - i), mean, mean_rest), splat(0)));
    sum += d * d;
  }
  return sum_of_lanes(sum);
}

static void layer_norm(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float epsilon, const float *gamma,
  const float *bias, float *y, ptrdiff_t y_stride) {
  for (; rows > 0; rows--, x += x_stride, y += y_stride) {
    double mean = sum_of(columns, x) / (double)columns;
    float high = (float)mean, low = (float)(mean - (double)high);
    double variance = sum_of_squares(columns, x, high, low) / (double)columns;
    vf factor = splat((float)(1 / sqrt(variance + (double)epsilon)));
    ptrdiff_t i = 0;
    for (; i + WIDTH <= columns; i += WIDTH) {
      vf v = deviation(load(x + i), high, low) * factor;
      if (gamma) v *= load(gamma + i);
      if (bias) v += load(bias + i);
      store(y + i, v);
    }
    const ptrdiff_t rest = columns - i;
    if (rest > 0) {
      vf v = deviation(load_some(x + i, rest), high, low) * factor;
      if (gamma) v *= load_some(gamma + i, rest);
      if (bias) v += load_some(bias + i, rest);
      store_some(y + i, v, rest);
    }
  }
}
