// y = x Wᵀ + b of one row and few outputs: a dot product for each, over weights as they are stored. Where the
// whole layer takes fewer than a hundred instructions, a packed panel is mostly empty, and the way into BLAS
// costs more than the arithmetic.

INLINE float weighted_sum(ptrdiff_t count, const float *x, const float *w) {
  vf sums[4] = {splat(0), splat(0), splat(0), splat(0)};
  ptrdiff_t i = 0;
  for (; i + 4 * WIDTH <= count; i += 4 * WIDTH) {
    for (int part = 0; part < 4; part++) {
      sums[part] = fma_(load(x + i + part * WIDTH), load(w + i + part * WIDTH), sums[part]);
    }
  }
  for (; i + WIDTH <= count; i += WIDTH) sums[0] = fma_(load(x + i), load(w + i), sums[0]);
  if (i < count) sums[1] = fma_(load_some(x + i, count - i), load_some(w + i, count - i), sums[1]);
  const vf all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  float sum = 0;
  for (int lane = 0; lane < WIDTH; lane++) sum += all[lane];
  return sum;
}

static void dot_products(
  ptrdiff_t inputs, ptrdiff_t outputs, const float *x, const float *weights, const float *bias, float *y) {
  for (ptrdiff_t output = 0; output < outputs; output++) {
    const float sum = weighted_sum(inputs, x, weights + output * inputs);
    y[output] = bias ? bias[output] + sum : sum;
  }
}
