// What each level gives: one table of functions a level, filled where `level.inc.h` is compiled for it.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "apus_kernels.h"

/// A product to compute: the arguments of `apus_linear`.
struct linear {
  ptrdiff_t rows, inputs, outputs;
  const float *x;
  ptrdiff_t x_stride;
  const float *packed;
  const float *bias;
  apus_activation activation;
  float alpha, beta;
  float *y;
  ptrdiff_t y_stride;
};

typedef void map_function(ptrdiff_t count, const float *x, float *y);

struct kernels {
  apus_level level;
  void (*linear)(const struct linear *);
  /// Lays out b, [k, n] or [n, k] if `is_transposed`, its rows `b_stride` apart, in panels: see
  /// `panels.inc.h`.
  void (*pack)(
    ptrdiff_t n, ptrdiff_t k, const float *b, ptrdiff_t b_stride, bool is_transposed, float *packed);
  map_function *exp, *log, *tanh, *erf, *sigmoid, *gelu, *gelu_tanh, *relu;
  void (*softmax)(
    ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride);
  void (*log_softmax)(
    ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride);
  void (*layer_norm)(
    ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float epsilon, const float *scale,
    const float *bias, float *y, ptrdiff_t y_stride);
  void (*add)(ptrdiff_t count, const float *a, const float *b, float *y);
  void (*multiply)(ptrdiff_t count, const float *a, const float *b, float *y);
  /// By `apus_pair`.
  void (*pairs[6])(
    ptrdiff_t count, const float *a, bool a_is_one, const float *b, bool b_is_one, float *y);
  void (*select)(
    ptrdiff_t count, const uint8_t *condition, const uint32_t *a, bool a_is_one, const uint32_t *b,
    bool b_is_one, uint32_t *y);
  map_function *sqrt, *reciprocal, *square;
  void (*floats_of_int32)(ptrdiff_t count, const int32_t *x, float *y);
  void (*floats_of_int64)(ptrdiff_t count, const int64_t *x, float *y);
  void (*floats_of_uint8)(ptrdiff_t count, const uint8_t *x, float *y);
  void (*floats_of_truths)(ptrdiff_t count, const uint8_t *x, float *y);
  void (*reduce)(
    apus_reduction reduction, ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float *y);
  void (*extremes)(
    ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float *least, float *greatest);
  void (*axis_norm)(
    ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float epsilon, const float *scale,
    const float *bias, float *y);
  void (*arg_max)(ptrdiff_t rows, ptrdiff_t columns, const float *x, bool selects_last, long long *y);
  void (*transpose_4)(
    ptrdiff_t rows, ptrdiff_t columns, const uint32_t *x, ptrdiff_t x_stride, uint32_t *y,
    ptrdiff_t y_stride);
  void (*transpose_8)(
    ptrdiff_t rows, ptrdiff_t columns, const uint64_t *x, ptrdiff_t x_stride, uint64_t *y,
    ptrdiff_t y_stride);
};

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
#endif

/// The table of the present level.
const struct kernels *kernels(void);

/// Makes calls use a table, which tests may have compiled for themselves; null for the processor's best.
void kernels_use(const struct kernels *);
