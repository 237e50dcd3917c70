// Which instruction set the kernels use: found once, when first asked for, by cpuid and xgetbv.
#pragma once

#include <stdbool.h>

/// Each level's kernels are the same source, compiled for wider vectors.
typedef enum {
  /// Vectors of 4: SSE2, Neon, or whatever the compiler makes of them elsewhere.
  apus_level_portable = 0,
  /// Vectors of 8: AVX2, FMA and F16C.
  apus_level_avx2 = 1,
  /// Vectors of 16: AVX-512 F, BW, DQ and VL, besides what AVX2's level has.
  apus_level_avx512 = 2,
} apus_level;

/// The level that kernels use: the best that processor and operating system have, within the limit.
apus_level apus_kernels_level(void);

/// Whether dot products of bytes may be used at the present level: AVX-VNNI at AVX2's, AVX512-VNNI at
/// AVX-512's.
bool apus_kernels_vnni(void);

/// Lowers the level, and with it what calls that begin later use, to at most `limit`; the best there is comes
/// back with `apus_level_avx512` and `allow_vnni`. Packed weights are the same at all levels. For tests,
/// which compare levels.
void apus_kernels_limit(apus_level limit, bool allow_vnni);

/// Bytes that `apus_processor_name` writes at most, with the zero at the end.
#define APUS_PROCESSOR_NAME_BYTES 49

/// The processor as cpuid tells its name, without spaces around it; "unknown" where it tells none.
void apus_processor_name(char name[APUS_PROCESSOR_NAME_BYTES]);

/// "portable", "avx2" or "avx512".
const char *apus_level_name(apus_level level);
