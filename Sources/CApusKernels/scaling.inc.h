// Between integers and floats: rounding as ONNX's QuantizeLinear does, half to even, and back.

typedef uint8_t v_bytes __attribute__((ext_vector_type(WIDTH)));
typedef uint8_t v_bytes_unaligned __attribute__((ext_vector_type(WIDTH), aligned(1), may_alias));

/// The nearest integers, half to even, of values within ±2^22: adding 1.5 · 2^23 leaves no place for
/// fractions.
INLINE vi nearest(vf v) {
  const vf shift = splat(12582912.0f);
  return bits(v + shift) - bits(shift);
}

/// What numbers in units of the scale are brought to.
struct rounding {
  vf low, high;
};

INLINE struct rounding rounding_of(const apus_quantization *q) {
  return (struct rounding){splat((float)(q->low - q->zero)), splat((float)(q->high - q->zero))};
}

/// What a number in units of the scale becomes, without the zero point: the least where it is NaN.
INLINE vi rounded(vf v, struct rounding to) { return nearest(lesser(greater(v, to.low), to.high)); }

static void quantize(ptrdiff_t count, const float *x, const apus_quantization *q, uint8_t *y) {
  const vf scale = splat(q->scale);
  const vi zero = (vi)q->zero;
  const struct rounding to = rounding_of(q);
  ptrdiff_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH) {
    const vi value = rounded(load(x + i) / scale, to) + zero;
    *(v_bytes_unaligned *)(y + i) = __builtin_convertvector(value, v_bytes);
  }
  if (i < count) {
    const vi some = rounded(load_some(x + i, count - i) / scale, to) + zero;
    const v_bytes bytes = __builtin_convertvector(some, v_bytes);
    memcpy(y + i, &bytes, (size_t)(count - i));
  }
}

static void dequantize(ptrdiff_t count, const uint8_t *x, const apus_quantization *q, float *y) {
  const vi flip = (vi)(q->low < 0 ? 128 : 0), zero = (vi)q->zero + flip;
  const vf scale = splat(q->scale);
  ptrdiff_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH) {
    const vi value = (__builtin_convertvector(*(const v_bytes_unaligned *)(x + i), vi) ^ flip) - zero;
    store(y + i, __builtin_convertvector(value, vf) * scale);
  }
  if (i < count) {
    v_bytes bytes = (v_bytes)0;
    memcpy(&bytes, x + i, (size_t)(count - i));
    const vi value = (__builtin_convertvector(bytes, vi) ^ flip) - zero;
    store_some(y + i, __builtin_convertvector(value, vf) * scale, count - i);
  }
}

/// What sums become, with as much of it known as makes loops short.
struct scaling {
  const bool has_step, has_bias;
  /// None, relu, or any other that needs `tile`.
  const apus_activation activation;
  const apus_integer_scaling *all;
  struct rounding to;
  struct tile tile;
};

/// One vector of floats of sums. Each operation is a statement of its own, so that none is fused with the
/// next.
INLINE vf scaled_sums(vi sums, vf factors, vf bias, const struct scaling *s) {
  const vf factor = factors * splat(s->all->scale);
  vf v = __builtin_convertvector(sums, vf);
  v = v * factor;
  if (s->has_step) {
    v = __builtin_convertvector(rounded(v, s->to), vf);
    v = v * splat(s->all->step.scale);
  }
  if (s->has_bias) v = v + bias;
  if (s->activation == apus_activation_relu) v = greater(splat(0), v);
  if (s->activation > apus_activation_relu) activate(&v, 1, &s->tile);
  return v;
}

INLINE void scale_rows(
  ptrdiff_t rows, ptrdiff_t outputs, const int32_t *sums, const struct scaling s, float *y) {
  const float *factors = s.all->factors, *bias = s.all->bias;
  for (; rows > 0; rows--, sums += outputs, y += outputs) {
    ptrdiff_t i = 0;
    for (; i + WIDTH <= outputs; i += WIDTH) {
      const vf added = s.has_bias ? load(bias + i) : splat(0);
      store(y + i, scaled_sums(load_integers(sums + i), load(factors + i), added, &s));
    }
    if (i < outputs) {
      const ptrdiff_t rest = outputs - i;
      const vi some = bits(load_some((const float *)(const void *)(sums + i), rest));
      const vf added = s.has_bias ? load_some(bias + i, rest) : splat(0);
      store_some(y + i, scaled_sums(some, load_some(factors + i, rest), added, &s), rest);
    }
    if (s.activation >= apus_activation_sigmoid) activate_row(s.all->activation, outputs, y);
  }
}

static void integer_scale(
  ptrdiff_t rows, ptrdiff_t outputs, const int32_t *sums, const apus_integer_scaling *all, float *y) {
  const struct tile tile = {.activation = all->activation, .alpha = all->alpha, .beta = all->beta};
  const struct rounding to = rounding_of(&all->step);
  const apus_activation activation = all->activation;
#define SCALE(step, bias, function) \
  scale_rows(rows, outputs, sums, (struct scaling){step, bias, function, all, to, tile}, y)
#define SCALE_BY_FUNCTION(step, bias) \
  do { \
    if (activation == apus_activation_none) { \
      SCALE(step, bias, apus_activation_none); \
    } else if (activation == apus_activation_relu) { \
      SCALE(step, bias, apus_activation_relu); \
    } else { \
      SCALE(step, bias, activation); \
    } \
  } while (0)
  if (all->has_step) {
    if (all->bias) SCALE_BY_FUNCTION(true, true);
    else SCALE_BY_FUNCTION(true, false);
  } else if (all->bias) {
    SCALE_BY_FUNCTION(false, true);
  } else {
    SCALE_BY_FUNCTION(false, false);
  }
#undef SCALE_BY_FUNCTION
#undef SCALE
}

/// The least and the greatest of all numbers and 0; NaNs are passed over.
static void range(ptrdiff_t count, const float *x, float *low, float *high) {
  vf least_of[2] = {splat(0), splat(0)}, most_of[2] = {splat(0), splat(0)};
  ptrdiff_t i = 0;
  for (; i + 2 * WIDTH <= count; i += 2 * WIDTH)
    for (int part = 0; part < 2; part++) {
      const vf v = load(x + i + part * WIDTH);
      least_of[part] = lesser(v, least_of[part]);
      most_of[part] = greater(v, most_of[part]);
    }
  for (; i < count; i += WIDTH) {
    const vf v = count - i >= WIDTH ? load(x + i) : load_some(x + i, count - i);
    least_of[0] = lesser(v, least_of[0]);
    most_of[0] = greater(v, most_of[0]);
  }
  const vf least_all = lesser(least_of[0], least_of[1]), most_all = greater(most_of[0], most_of[1]);
  *low = 0;
  *high = 0;
  for (int lane = 0; lane < WIDTH; lane++) {
    *low = least_all[lane] < *low ? least_all[lane] : *low;
    *high = most_all[lane] > *high ? most_all[lane] : *high;
  }
}
