// Between integers and floats: rounding as ONNX's QuantizeLinear does, half to even, and back.

typedef uint8_t v_bytes __attribute__((ext_vector_type(WIDTH)));
typedef uint8_t v_bytes_unaligned __attribute__((ext_vector_type(WIDTH), aligned(1), may_alias));

/// The nearest integers, half to even, of values within ±2^22: adding 1.5 · 2^23 leaves no place for fractions.
INLINE vi nearest(vf v) {
  const vf shift = splat(12582912.0f);
  return bits(v + shift) - bits(shift);
}

/// What a number in units of the scale becomes, without the zero point: the least where it is NaN.
INLINE vi rounded(vf v, const apus_quantization *q) {
  v = greater(v, splat((float)(q->low - q->zero)));
  return nearest(lesser(v, splat((float)(q->high - q->zero))));
}

static void quantize(ptrdiff_t count, const float *x, const apus_quantization *q, uint8_t *y) {
  const vf scale = splat(q->scale);
  for (ptrdiff_t i = 0; i < count; i += WIDTH) {
    const ptrdiff_t rest = count - i;
    const vf v = rest >= WIDTH ? load(x + i) : load_some(x + i, rest);
    const v_bytes bytes = __builtin_convertvector(rounded(v / scale, q) + (vi)q->zero, v_bytes);
    if (rest >= WIDTH) {
      *(v_bytes_unaligned *)(y + i) = bytes;
    } else {
      memcpy(y + i, &bytes, (size_t)rest);
    }
  }
}

static void dequantize(ptrdiff_t count, const uint8_t *x, const apus_quantization *q, float *y) {
  const vi flip = (vi)(q->low < 0 ? 128 : 0);
  for (ptrdiff_t i = 0; i < count; i += WIDTH) {
    const ptrdiff_t rest = count - i;
    v_bytes bytes = (v_bytes)0;
    if (rest >= WIDTH) {
      bytes = *(const v_bytes_unaligned *)(x + i);
    } else {
      memcpy(&bytes, x + i, (size_t)rest);
    }
    const vi value = (__builtin_convertvector(bytes, vi) ^ flip) - flip - (vi)q->zero;
    const vf result = __builtin_convertvector(value, vf) * splat(q->scale);
    if (rest >= WIDTH) {
      store(y + i, result);
    } else {
      store_some(y + i, result, rest);
    }
  }
}

/// One vector of floats of sums. Each operation is a statement of its own, so that none is fused with the next.
INLINE vf scaled_sums(vi sums, vf factors, vf bias, const apus_integer_scaling *s, const struct tile *t) {
  const vf factor = factors * splat(s->scale);
  vf v = __builtin_convertvector(sums, vf);
  v = v * factor;
  if (s->has_step) {
    v = __builtin_convertvector(rounded(v, &s->step), vf);
    v = v * splat(s->step.scale);
  }
  if (s->bias) v = v + bias;
  activate(&v, 1, t);
  return v;
}

static void integer_scale(
  ptrdiff_t rows, ptrdiff_t outputs, const int32_t *sums, const apus_integer_scaling *s, float *y) {
  const struct tile t = {.activation = s->activation, .alpha = s->alpha, .beta = s->beta};
  for (; rows > 0; rows--, sums += outputs, y += outputs) {
    ptrdiff_t i = 0;
    for (; i + WIDTH <= outputs; i += WIDTH) {
      const vf bias = s->bias ? load(s->bias + i) : splat(0);
      store(y + i, scaled_sums(load_integers(sums + i), load(s->factors + i), bias, s, &t));
    }
    if (i < outputs) {
      const ptrdiff_t rest = outputs - i;
      vi some = (vi)0;
      memcpy(&some, sums + i, (size_t)rest * sizeof(int32_t));
      const vf bias = s->bias ? load_some(s->bias + i, rest) : splat(0);
      store_some(y + i, scaled_sums(some, load_some(s->factors + i, rest), bias, s, &t), rest);
    }
    if (s->activation >= apus_activation_sigmoid) activate_row(s->activation, outputs, y);
  }
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
