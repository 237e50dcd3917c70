// What each level gives: one table of functions a level, filled where `level.inc.h` is compiled for it.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "apus_kernels.h"

/// What packed weights are.
enum weight_format { weights_of_float32, weights_of_float16, weights_of_bfloat16, weight_formats };

/// A product to compute: the arguments of `apus_linear` and `apus_linear_half`.
struct linear {
  ptrdiff_t rows, inputs, outputs;
  const float *x;
  ptrdiff_t x_stride;
  enum weight_format format;
  const void *packed;
  const float *bias;
  apus_activation activation;
  float alpha, beta;
  float *y;
  ptrdiff_t y_stride;
};

/// Sums of products of 8-bit numbers: the arguments of `apus_integer_product`.
struct integer_product {
  ptrdiff_t rows, inputs, outputs;
  const uint8_t *x;
  bool is_signed;
  ptrdiff_t x_stride;
  /// That of x as uint8.
  int32_t x_zero;
  const int8_t *packed;
  const int32_t *w_zeros;
  int32_t *y;
  ptrdiff_t y_stride;
  void *workspace;
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
  void (*integer_product)(const struct integer_product *);
  /// The same with dot products of bytes, for processors that have them; null for none.
  void (*integer_product_dots)(const struct integer_product *);
  void (*integer_scale)(
    ptrdiff_t rows, ptrdiff_t outputs, const int32_t *sums, const apus_integer_scaling *scaling, float *y);
  void (*quantize)(ptrdiff_t count, const float *x, const apus_quantization *quantization, uint8_t *q);
  void (*dequantize)(ptrdiff_t count, const uint8_t *q, const apus_quantization *quantization, float *x);
  void (*range)(ptrdiff_t count, const float *x, float *low, float *high);
};

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
void integer_product_avxvnni(const struct integer_product *);
void integer_product_avx512vnni(const struct integer_product *);
#endif

/// The table of the present level.
const struct kernels *kernels(void);

/// Makes calls use a table, which tests may have compiled for themselves; null for the processor's best.
void kernels_use(const struct kernels *);
