// Products of 8-bit numbers by AVX-VNNI, beside AVX2's level.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels.h"

#define WIDTH 8
#define IS_FUSED 1
#define DOTS 1
#define DOT(sum, x, w) (vi) _mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(x), (__m256i)(w))
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#include "vectors.inc.h"
#include "integer.inc.h"

void integer_product_avxvnni(const struct integer_product *p) { integer_product(p); }
#pragma clang attribute pop
#endif
