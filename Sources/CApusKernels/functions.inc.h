// exp, log, tanh, erf, sigmoid and GELU of vectors.
//
// Arguments are reduced as in the Cephes library (S. Moshier, netlib.org/cephes/single), with polynomials of
// our own: minimax in the relative error of the result, by Lawson's reweighted least squares in double
// precision. `apus_functions.h` states what was measured against double precision over all 2^32 arguments.

/// Horner's scheme, the highest power first.
#define POLYNOMIAL(x, ...) \
  polynomial(x, (const float[]){__VA_ARGS__}, sizeof((float[]){__VA_ARGS__}) / sizeof(float))
INLINE vf polynomial(vf x, const float *coefficients, const int count) {
  vf sum = splat(coefficients[0]);
#pragma clang loop unroll(full)
  for (int i = 1; i < count; i++) sum = fma_(sum, x, splat(coefficients[i]));
  return sum;
}

/// ln 2 in two parts; the first has 9 bits, so that its products with exponents are exact.
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f

/// e^x = e^rest 2^power, |rest| ≤ ln 2 / 2.
struct reduced {
  vf rest;
  vi power;
};

INLINE struct reduced reduce(vf x) {
  // A float of this size has no fraction: adding it rounds, and leaves the integer in the lowest bits.
  const vf round = splat(0x1.8p23f);
  vf shifted = fma_(x, splat(1.44269504f), round);
  vf power = shifted - round;
  vf rest = fma_(power, splat(-LN2_LOW), fma_(power, splat(-LN2_HIGH), x));
  return (struct reduced){rest, (vi)(__builtin_bit_cast(vu, shifted) - 0x4b400000u)};
}

/// e^x for a reduced x: 1 + x + x² P(x). What 1 + x is rounded by is added with the rest.
INLINE vf exp_of_rest(vf x) {
  vf p = POLYNOMIAL(x, 0.00138145394f, 0.00836874545f, 0.041668389f, 0.166665211f, 0.49999994f);
  vf sum = splat(1) + x;
  vf lost = x - (sum - splat(1));
  return fma_(x * x, p, lost) + sum;
}

INLINE vf power_of_2(vi power) {
  return __builtin_bit_cast(vf, (__builtin_bit_cast(vu, power) + 127u) << 23);
}

/// v 2^power for powers from -252 to 254: in two steps, as floats have powers from -126 to 127 only.
INLINE vf scale(vf v, vi power) {
  vi half = power >> 1;
  return v * power_of_2(half) * power_of_2(power - half);
}

/// Beyond these e^x is 0 or infinite.
INLINE vf exp_(vf x) {
  struct reduced r = reduce(greater(splat(-104), lesser(splat(89), x)));
  return scale(exp_of_rest(r.rest), r.power);
}

/// e^x for x from -87 to 88.
INLINE vf exp_within(vf x) {
  struct reduced r = reduce(x);
  return exp_of_rest(r.rest) * power_of_2(r.power);
}

/// ln(2^power (1 + f)) for 1 + f from √½ to √2: f - f²/2 + f³ P(f), and power ln 2 in two parts.
INLINE vf log_(vf x) {
  const int32_t root_half = 0x3f3504f3;
  vi is_small = x < splat(0x1p-126f);
  vf normal = is_small ? x * splat(0x1p23f) : x;
  vi offset = bits(normal) - root_half;
  vf power = __builtin_convertvector(offset >> 23, vf) - (is_small ? splat(23) : splat(0));
  vf f = from_bits((offset & 0x7fffff) + root_half) - splat(1);
  vf p = POLYNOMIAL(
    f, -0.0763449669f, 0.127615765f, -0.131601825f, 0.142017573f, -0.166233569f, 0.200012267f, -0.250008196f,
    0.333333313f);
  vf square = f * f;
  vf sum = fma_(power, splat(LN2_LOW), square * f * p);
  sum = fma_(splat(-0.5f), square, sum) + f;
  sum = fma_(power, splat(LN2_HIGH), sum);
  sum = x == splat(INFINITY) ? x : sum;
  sum = x == splat(0) ? splat(-INFINITY) : sum;
  // A NaN's comparison is false too.
  return x >= splat(0) ? sum : x < splat(0) ? splat(NAN) : x;
}

/// x + x³ P(x²) near 0, otherwise 1 - 2 / (e^2x + 1).
INLINE vf tanh_(vf x) {
  vf size = lesser(splat(10), magnitude(x));
  vf square = size * size;
  vf p = POLYNOMIAL(square, -0.00570422644f, 0.0206384342f, -0.0537395254f, 0.133314401f, -0.333332807f);
  vf near = fma_(p * square, size, size);
  vf far = splat(1) - splat(2) / (exp_within(size + size) + splat(1));
  return with_sign(size < splat(0.625f) ? near : far, x);
}

/// x + x P(x²) near 0, otherwise 1 - e^Q(x), where Q is ln erfc. The form is N. Juffa's.
INLINE vf erf_(vf x) {
  vf size = lesser(splat(4), magnitude(x));
  vf p = POLYNOMIAL(
    size * size, -0.000596379803f, 0.00498791505f, -0.0267630629f, 0.112817198f, -0.376124859f, 0.128379151f);
  vf near = fma_(p, size, size);
  vf q = POLYNOMIAL(
    size, 0.000195033761f, -0.00303434161f, 0.0221914817f, -0.103857949f, -0.637266338f, -1.12762558f,
    -0.00020781286f);
  vf far = splat(1) - exp_within(q);
  return with_sign(size < splat(0.9278f) ? near : far, x);
}

/// 1 / (1 + e^-|x|), and e^-|x| / (1 + e^-|x|) below 0, so that small results keep their digits.
INLINE vf sigmoid_(vf x) {
  vf power = exp_(-magnitude(x));
  return (x < splat(0) ? power : splat(1)) / (splat(1) + power);
}

/// x Φ(x). With q = erfc(|x|/√2) / 2 = e^(-x²/2) P(1 / (1 + |x|/3)), which has all its digits, it is x q
/// below 0 and x - x q above: unlike in x (1 + erf(x/√2)) / 2, no digits cancel. The square is taken in two
/// parts, as what it lacks would be multiplied. The form of P is that of Numerical Recipes' erfcc.
INLINE vf gelu_(vf x) {
  vf clipped = greater(splat(-15), lesser(splat(15), x));
  vf size = magnitude(clipped);
  vf p = POLYNOMIAL(
    splat(1) / fma_(splat(0.33f), size, splat(1)), -0.0258450881f, 0.148481742f, -0.322206944f, 0.291626364f,
    -0.106918626f, 0.146032259f, 0.103652f, 0.133695081f, 0.13147679f, 6.42877785e-06f);
  vf high = from_bits(bits(size) & ~0xfff);
  struct reduced r = reduce(splat(-0.5f) * high * high);
  vf rest = fma_(splat(-0.5f) * (size - high), size + high, r.rest);
  vf tail = scale(clipped * p * exp_of_rest(rest), r.power);
  vf value = x < splat(0) ? tail : x - tail;
  return x == splat(-INFINITY) ? splat(NAN) : value;
}

/// x (1 + tanh z) / 2 = x / (1 + e^-2z), z = √(2/π) (x + 0.044715 x³).
INLINE vf gelu_tanh_(vf x) { return x * sigmoid_(x * fma_(x * x, splat(0.0713548163f), splat(1.59576912f))); }

INLINE vf relu_(vf x) { return greater(splat(0), x); }

/// A function of an array..
#define MAP(name) \
  static void map_##name(ptrdiff_t count, const float *x, float *y) { \
    ptrdiff_t i = 0; \
    for (; i + WIDTH <= count; i += WIDTH) store(y + i, name##_(load(x + i))); \
    if (i < count) store_some(y + i, name##_(load_some(x + i, count - i)), count - i); \
  }

MAP(exp)
MAP(log)
MAP(tanh)
MAP(erf)
MAP(sigmoid)
MAP(gelu)
MAP(gelu_tanh)
MAP(relu)

/// The activations of a layer that are too long to be applied to sums in registers.
static void activate_row(apus_activation activation, ptrdiff_t count, float *y) {
  switch (activation) {
  case apus_activation_sigmoid: map_sigmoid(count, y, y); break;
  case apus_activation_tanh: map_tanh(count, y, y); break;
  case apus_activation_gelu: map_gelu(count, y, y); break;
  case apus_activation_gelu_tanh: map_gelu_tanh(count, y, y); break;
  default: break;
  }
}
