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

/// Most floats of prepared images, weights, or scratch memory.
#define MOST_FLOATS ((ptrdiff_t)1 << 27)

static inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/// a b, or a number that is too large for anything: above `MOST_FLOATS`. Neither is below 0.
static inline ptrdiff_t bounded_product(ptrdiff_t a, ptrdiff_t b) {
  ptrdiff_t result;
  return __builtin_mul_overflow(a, b, &result) || result > MOST_FLOATS ? MOST_FLOATS + 1 : result;
}

/// Whether a window's sizes are such that computing with padding costs little: a window may be no larger than
/// twice the input, and some more.
bool is_computed_quickly(const apus_axis *axis);

/// How a dimension is read by a window: see `conv.inc.h`.
struct lines {
  /// Elements of the window, one after the other, lie on so many lines in turn.
  ptrdiff_t slots;
  /// Elements of a line.
  ptrdiff_t length;
};

/// A convolution to compute: the arguments of `apus_conv`, and what follows from its shape.
struct conv {
  apus_conv_shape shape;
  ptrdiff_t images;
  const float *x, *bias, *addend;
  /// For each input of a sum, its place in a prepared image.
  const int32_t *offsets;
  const float *weights;
  apus_activation activation;
  float alpha, beta;
  float *y, *scratch;

  struct lines height, width;
  /// Of one group of one image, as it is prepared, and of one channel of it.
  ptrdiff_t image_floats, plane_floats;
  /// Inputs of a sum, and how many of them are added at a time.
  ptrdiff_t inputs, block_inputs;
  /// Places of an image, and of those how many lie in a row. Rows begin `row_step` floats apart.
  ptrdiff_t places, row_places, row_step;
  /// Images that are computed together.
  ptrdiff_t joined_images;
  /// Whether images may be read as they lie.
  bool is_prepared;
};

/// Outputs whose weights lie together.
#define CONV_GROUP 6
/// Floats behind packed weights, which vectors of a group's weights read and do not use.
#define CONV_SLACK 8
/// Most floats of the panels of columns that lie in scratch memory at a time, for as many inputs as are added
/// at a time: they stay in the second-level cache.
#define CONV_TILE_FLOATS (48 << 10)

/// A convolution by Winograd's transforms to compute: the arguments of `apus_winograd`, and what follows from
/// its shape.
struct winograd {
  apus_conv_shape shape;
  ptrdiff_t images;
  const float *x, *weights, *bias, *addend;
  apus_activation activation;
  float alpha, beta;
  float *y;

  /// Squares of 2 × 2 places that lie in a row of y, such rows of an image, and rows computed at a time.
  ptrdiff_t row_squares, image_rows, block_rows;
  /// Scratch memory, as `winograd.inc.h` tells, and floats from one line, element or row of it to the next.
  float *padded, *lines, *inputs, *products, *sums;
  ptrdiff_t padded_floats, line_floats, input_step, product_step, output_floats;
};

/// Elements of a transformed window.
#define WINOGRAD_ELEMENTS 16

/// A pool to compute: the arguments of `apus_pool`.
struct pool {
  apus_pool_kind kind;
  ptrdiff_t planes;
  const apus_axis *height, *width;
  const float *x;
  float *y, *scratch;
};

/// Floats of the line that a pool's windows pass over, with padding.
ptrdiff_t pool_line_floats(const apus_axis *width);

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
  void (*dot_products)(
    ptrdiff_t inputs, ptrdiff_t outputs, const float *x, const float *weights, const float *bias, float *y);
  /// See `pack.inc.h`.
  void (*pack)(
    ptrdiff_t outputs, ptrdiff_t inputs, const float *weights, bool is_transposed, float *packed);
  void (*conv)(const struct conv *);
  void (*winograd)(const struct winograd *);
  void (*pool)(const struct pool *);
  void (*pool_rows)(apus_pool_kind kind, ptrdiff_t rows, ptrdiff_t columns, const float *x, float *y);
  map_function *exp, *log, *tanh, *erf, *sigmoid, *gelu, *gelu_tanh, *relu;
  void (*softmax)(
    ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride);
  void (*log_softmax)(
    ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride);
  void (*layer_norm)(
    ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float epsilon, const float *scale,
    const float *bias, float *y, ptrdiff_t y_stride);
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
  void (*integer_product)(const struct integer_product *);
  /// The same with dot products of bytes, for processors that have them; null for none.
  void (*integer_product_dots)(const struct integer_product *);
  void (*integer_scale)(
    ptrdiff_t rows, ptrdiff_t outputs, const int32_t *sums, const apus_integer_scaling *scaling, float *y);
  void (*quantize)(ptrdiff_t count, const float *x, const apus_quantization *quantization, uint8_t *q);
  void (*dequantize)(ptrdiff_t count, const uint8_t *q, const apus_quantization *quantization, float *x);
  void (*range)(ptrdiff_t count, const float *x, float *low, float *high);
  void (*scale_features)(
    apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t x_stride,
    const float *offset, const float *scale, bool is_one, float *y, ptrdiff_t y_stride);
  void (*normalize_features)(
    apus_norm norm, apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x,
    ptrdiff_t x_stride, float *y, ptrdiff_t y_stride);
  void (*distances)(
    ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const float *x, ptrdiff_t x_stride,
    const float *packed, float factor, float *y, ptrdiff_t y_stride);
  double (*dot)(ptrdiff_t count, const float *a, const float *b);
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
