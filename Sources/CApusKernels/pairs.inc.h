// Arithmetic of two arrays, choices between them, and numbers made floats.

INLINE vf pair_of(const apus_pair pair, vf a, vf b) {
  switch (pair) {
  case apus_pair_add: return a + b;
  case apus_pair_subtract: return a - b;
  case apus_pair_multiply: return a * b;
  case apus_pair_divide: return a / b;
  // The comparison gives b where either is a NaN.
  case apus_pair_max: return a != a ? a : greater(a, b);
  default: return a != a ? a : lesser(a, b);
  }
}

/// All pairs of one kind; `a_step` and `b_step` are 1, or 0 for one number that goes with all.
INLINE void pair_arrays(
  const apus_pair pair, ptrdiff_t count, const float *a, const int a_step, const float *b, const int b_step,
  float *y) {
  vf one_a = a_step ? splat(0) : splat(*a), one_b = b_step ? splat(0) : splat(*b);
  ptrdiff_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH)
    store(y + i, pair_of(pair, a_step ? load(a + i) : one_a, b_step ? load(b + i) : one_b));
  if (i < count) {
    vf rest_a = a_step ? load_some(a + i, count - i) : one_a;
    vf rest_b = b_step ? load_some(b + i, count - i) : one_b;
    store_some(y + i, pair_of(pair, rest_a, rest_b), count - i);
  }
}

#define PAIRS(name) \
  static void pairs_##name( \
    ptrdiff_t count, const float *a, bool a_is_one, const float *b, bool b_is_one, float *y) { \
    if (a_is_one && count > 0) { \
      if (b_is_one) pair_arrays(apus_pair_##name, count, a, 0, b, 0, y); \
      else pair_arrays(apus_pair_##name, count, a, 0, b, 1, y); \
    } else if (b_is_one && count > 0) { \
      pair_arrays(apus_pair_##name, count, a, 1, b, 0, y); \
    } else { \
      pair_arrays(apus_pair_##name, count, a, 1, b, 1, y); \
    } \
  }

PAIRS(add)
PAIRS(subtract)
PAIRS(multiply)
PAIRS(divide)
PAIRS(max)
PAIRS(min)

/// Scalar loops, of which the compiler makes vector code for each combination of steps.
INLINE void select_steps(
  ptrdiff_t count, const uint8_t *condition, const uint32_t *a, const int a_step, const uint32_t *b,
  const int b_step, uint32_t *restrict y) {
  for (ptrdiff_t i = 0; i < count; i++) {
    uint32_t yes = a[a_step ? i : 0], no = b[b_step ? i : 0];
    y[i] = condition[i] ? yes : no;
  }
}

static void select_elements(
  ptrdiff_t count, const uint8_t *condition, const uint32_t *a, bool a_is_one, const uint32_t *b,
  bool b_is_one, uint32_t *y) {
  if (a_is_one && b_is_one) {
    select_steps(count, condition, a, 0, b, 0, y);
  } else if (a_is_one) {
    select_steps(count, condition, a, 0, b, 1, y);
  } else if (b_is_one) {
    select_steps(count, condition, a, 1, b, 0, y);
  } else {
    select_steps(count, condition, a, 1, b, 1, y);
  }
}

INLINE vf sqrt_(vf x) { return __builtin_elementwise_sqrt(x); }
INLINE vf reciprocal_(vf x) { return splat(1) / x; }
INLINE vf square_(vf x) { return x * x; }
MAP(sqrt)
MAP(reciprocal)
MAP(square)

#define FLOATS(name, type, expression) \
  static void floats_of_##name(ptrdiff_t count, const type *x, float *restrict y) { \
    for (ptrdiff_t i = 0; i < count; i++) y[i] = expression; \
  }

FLOATS(int32, int32_t, (float)x[i])
FLOATS(int64, int64_t, (float)x[i])
FLOATS(uint8, uint8_t, (float)x[i])
FLOATS(truths, uint8_t, x[i] ? 1.0f : 0.0f)
