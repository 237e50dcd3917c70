// Products of 8-bit numbers by AVX512-VNNI, beside AVX-512's level.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels.h"

#define WIDTH 16
#define IS_FUSED 1
#define DOTS 1
#define DOT(sum, x, w) (vi) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(x), (__m512i)(w))
#pragma clang attribute push( \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))), apply_to = function)
#include "vectors.inc.h"
#include "integer.inc.h"

void integer_product_avx512vnni(const struct integer_product *p) { integer_product(p); }
#pragma clang attribute pop
#endif
