// Vectors of 16 and tiles of 12 × 32, as AVX-512 has them, of whatever registers there are; dot products of
// bytes as VNNI has them.
#include "wide_kernels.h"

#define LEVEL apus_level_avx512
#define WIDTH 16
#define NARROW_REGISTERS
#define IS_FUSED 0
#define MOST_ROWS 12
#define MOST_PANELS 2
#define TABLE wide_kernels
#define DOTS 1
#include "../../Sources/CApusKernels/level.inc.h"

void use_wide_kernels(void) { kernels_use(&wide_kernels); }
