// Kernels of vectors of 4, for any processor: registers hold tiles of 3 × 16 sums on x86, of 6 × 16
// elsewhere.
#define LEVEL apus_level_portable
#define WIDTH 4
#define MOST_PANELS 1
#define TABLE kernels_portable
#if defined(__x86_64__)
#define IS_FUSED 0
#define MOST_ROWS 3
#else
#define IS_FUSED 1
#define MOST_ROWS 6
#endif
#include "level.inc.h"
