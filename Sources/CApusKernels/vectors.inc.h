// Vectors of WIDTH floats and what all kernels do with them. Compiled once for each level, which sets
//   WIDTH        floats of a vector
//   IS_FUSED     whether the level multiplies and adds with one rounding
//   MOST_ROWS    rows of the largest tile of a matrix product: see `linear_tile.inc.h`
//   MOST_PANELS  panels of that tile
//   TABLE        the name of its table, LEVEL what the table calls itself
// For tests, NARROW_REGISTERS makes vectors of 16 of narrower ones.
#include <math.h>
#include <string.h>
#if WIDTH > 4
#include <immintrin.h>
#endif

// Vectors of more floats than a register holds are passed between functions that are always inlined: no ABI
// is met.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((ext_vector_type(WIDTH)));
typedef int32_t vi __attribute__((ext_vector_type(WIDTH)));
typedef uint32_t vu __attribute__((ext_vector_type(WIDTH)));
/// A vector anywhere in memory.
typedef float vf_unaligned __attribute__((ext_vector_type(WIDTH), aligned(4), may_alias));

/// Two vectors, one after the other or element by element in turn.
typedef float vff __attribute__((ext_vector_type(2 * WIDTH)));
typedef float vff_unaligned __attribute__((ext_vector_type(2 * WIDTH), aligned(4), may_alias));

INLINE vf load(const float *p) { return *(const vf_unaligned *)p; }
INLINE void store(float *p, vf v) { *(vf_unaligned *)p = v; }
INLINE vff load_two(const float *p) { return *(const vff_unaligned *)p; }
INLINE void store_two(float *p, vff v) { *(vff_unaligned *)p = v; }
INLINE vf splat(float value) { return (vf)value; }
INLINE vi bits(vf v) { return __builtin_bit_cast(vi, v); }
INLINE vf from_bits(vi v) { return __builtin_bit_cast(vf, v); }

/// a b + c, with one rounding where the level can.
INLINE vf fma_(vf a, vf b, vf c) {
#if IS_FUSED
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// Numbers of lanes.
INLINE vi lanes(void) {
#if WIDTH == 4
  return (vi){0, 1, 2, 3};
#elif WIDTH == 8
  return (vi){0, 1, 2, 3, 4, 5, 6, 7};
#else
  return (vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#endif
}

/// The first `count` floats at p, then zeros: 0 ≤ count < WIDTH.
INLINE vf load_some(const float *p, ptrdiff_t count) {
#if WIDTH == 8
  return (vf)_mm256_maskload_ps(p, (__m256i)(lanes() < (vi)(int32_t)count));
#elif WIDTH == 16 && defined(__x86_64__) && !defined(NARROW_REGISTERS)
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#else
  float all[WIDTH] = {0};
  memcpy(all, p, (size_t)count * sizeof(float));
  return load(all);
#endif
}

INLINE void store_some(float *p, vf v, ptrdiff_t count) {
#if WIDTH == 8
  _mm256_maskstore_ps(p, (__m256i)(lanes() < (vi)(int32_t)count), (__m256)v);
#elif WIDTH == 16 && defined(__x86_64__) && !defined(NARROW_REGISTERS)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#else
  float all[WIDTH];
  store(all, v);
  memcpy(p, all, (size_t)count * sizeof(float));
#endif
}

/// The greater of two; b if either is a NaN.
INLINE vf greater(vf a, vf b) { return a > b ? a : b; }
/// The lesser of two; b if either is a NaN.
INLINE vf lesser(vf a, vf b) { return a < b ? a : b; }
/// Each value with the sign of another.
INLINE vf with_sign(vf v, vf sign) {
  return from_bits((bits(v) & 0x7fffffff) | (bits(sign) & ~0x7fffffff));
}
INLINE vf magnitude(vf v) { return from_bits(bits(v) & 0x7fffffff); }

typedef uint16_t vh __attribute__((ext_vector_type(WIDTH)));
typedef uint16_t vh_unaligned __attribute__((ext_vector_type(WIDTH), aligned(2), may_alias));

/// Floats of bfloat16.
INLINE vf load_bfloat16(const uint16_t *p) {
  return from_bits((vi)(__builtin_convertvector(*(const vh_unaligned *)p, vu) << 16));
}

/// Floats of IEEE 754 binary16. A NaN may become a quiet one.
INLINE vf load_float16(const uint16_t *p) {
#if WIDTH == 8
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif WIDTH == 16 && defined(__x86_64__) && !defined(NARROW_REGISTERS)
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#else
  // The exponent's bias is 15 and not 127: what is not infinite is 2^-112 of its value, denormals too.
  const vu half = __builtin_convertvector(*(const vh_unaligned *)p, vu);
  const vi size = (vi)((half & 0x7fff) << 13), sign = (vi)((half & 0x8000) << 16);
  const vi finite = bits(from_bits(size) * splat(0x1p112f));
  return from_bits((size >= 0x7c00 << 13 ? size | 0x7f800000 : finite) | sign);
#endif
}
