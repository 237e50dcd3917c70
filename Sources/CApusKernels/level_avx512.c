// Kernels of vectors of 16: 32 registers hold a tile of 12 × 32 sums, its weights and inputs.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels.h"

#define LEVEL apus_level_avx512
#define WIDTH 16
#define IS_FUSED 1
#define MOST_ROWS 12
#define MOST_PANELS 2
#define TABLE kernels_avx512
#define TABLE_DOTS integer_product_avx512vnni
#pragma clang attribute push( \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "level.inc.h"
#pragma clang attribute pop
#endif
