// Finds the level by cpuid and xgetbv: an instruction set counts only if the operating system saves its
// registers.
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t enabled_registers(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static bool has(uint32_t value, uint32_t bits) { return (value & bits) == bits; }

/// The processor's level, and its VNNI beside each level in bits 8 (AVX2's) and 9 (AVX-512's).
static unsigned detect(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return apus_level_portable;
  if (!has(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C)) return apus_level_portable;
  uint64_t registers = enabled_registers();
  if ((registers & 0x6) != 0x6) return apus_level_portable;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, bit_AVX2)) return apus_level_portable;
  uint32_t leaf_7_b = b, leaf_7_c = c;
  bool avx_vnni = a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && has(a, bit_AVXVNNI);
  unsigned found = apus_level_avx2 | (unsigned)avx_vnni << 8;
  bool avx512 = has(leaf_7_b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL);
  if (!avx512 || (registers & 0xe6) != 0xe6) return found;
  return apus_level_avx512 | (unsigned)avx_vnni << 8 | (unsigned)has(leaf_7_c, bit_AVX512VNNI) << 9;
}
#else
static unsigned detect(void) { return apus_level_portable; }
#endif

/// What `detect` finds, asked for once: a virtual machine may take long to answer. 0: not asked yet.
static unsigned detected(void) {
  static _Atomic unsigned found;
  const unsigned is_known = 1u << 31;
  unsigned known = atomic_load_explicit(&found, memory_order_relaxed);
  if (!known) atomic_store_explicit(&found, known = detect() | is_known, memory_order_relaxed);
  return known & ~is_known;
}

/// The table that calls use; null until the first of them has found it. Every thread that finds it stores the
/// same.
static _Atomic(const struct kernels *) present;
static _Atomic bool is_vnni_forbidden;

static const struct kernels *table(apus_level level) {
#if defined(__x86_64__)
  if (level == apus_level_avx512) return &kernels_avx512;
  if (level == apus_level_avx2) return &kernels_avx2;
#endif
  (void)level;
  return &kernels_portable;
}

static const struct kernels *table_within(apus_level limit) {
  apus_level best = (apus_level)(detected() & 0xff);
  return table(best < limit ? best : limit);
}

const struct kernels *kernels(void) {
  const struct kernels *known = atomic_load_explicit(&present, memory_order_relaxed);
  if (known) return known;
  const struct kernels *found = table_within(apus_level_avx512);
  // A limit that another thread has set in the meantime stays.
  if (atomic_compare_exchange_strong(&present, &known, found)) return found;
  return known;
}

void kernels_use(const struct kernels *table) { atomic_store(&present, table); }

apus_level apus_kernels_level(void) { return kernels()->level; }

bool apus_kernels_vnni(void) {
  apus_level level = apus_kernels_level();
  if (level == apus_level_portable) return false;
  return !atomic_load_explicit(&is_vnni_forbidden, memory_order_relaxed) && (detected() >> (7 + level) & 1);
}

void apus_kernels_limit(apus_level limit, bool allow_vnni) {
  atomic_store(&is_vnni_forbidden, !allow_vnni);
  kernels_use(table_within(limit));
}

const char *apus_level_name(apus_level level) {
  static const char *const names[] = {"portable", "avx2", "avx512"};
  return names[level];
}

void apus_processor_name(char name[APUS_PROCESSOR_NAME_BYTES]) {
  char text[49] = "";
#if defined(__x86_64__)
  uint32_t words[12];
  for (unsigned leaf = 0; leaf < 3; leaf++) {
    uint32_t *part = words + 4 * leaf;
    if (!__get_cpuid(0x80000002 + leaf, part, part + 1, part + 2, part + 3)) memset(part, 0, 16);
  }
  memcpy(text, words, 48);
#endif
  const char *start = text;
  while (*start == ' ') start++;
  size_t length = strlen(start);
  while (length > 0 && start[length - 1] == ' ') length--;
  if (length == 0) start = "unknown", length = 7;
  memcpy(name, start, length);
  name[length] = 0;
}
