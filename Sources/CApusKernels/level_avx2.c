// Kernels of vectors of 8: 16 registers hold a tile of 6 × 16 sums, its weights and an input.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels.h"

#define LEVEL apus_level_avx2
#define WIDTH 8
#define IS_FUSED 1
#define MOST_ROWS 6
#define MOST_PANELS 1
#define TABLE kernels_avx2
#define TABLE_DOTS integer_product_avxvnni
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "level.inc.h"
#pragma clang attribute pop
#endif
