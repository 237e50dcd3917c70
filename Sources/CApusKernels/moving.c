// What `apus_pairs.h`, `apus_reductions.h` and `apus_moves.h` promise, by the kernels of the present level.
#include "kernels.h"

void apus_pairs(
  apus_pair pair, ptrdiff_t count, const float *a, bool a_is_one, const float *b, bool b_is_one, float *y) {
  kernels()->pairs[pair](count, a, a_is_one, b, b_is_one, y);
}

void apus_select(
  ptrdiff_t count, const uint8_t *condition, const uint32_t *a, bool a_is_one, const uint32_t *b,
  bool b_is_one, uint32_t *y) {
  kernels()->select(count, condition, a, a_is_one, b, b_is_one, y);
}

void apus_sqrt(ptrdiff_t count, const float *x, float *y) { kernels()->sqrt(count, x, y); }
void apus_reciprocal(ptrdiff_t count, const float *x, float *y) { kernels()->reciprocal(count, x, y); }
void apus_square(ptrdiff_t count, const float *x, float *y) { kernels()->square(count, x, y); }

void apus_floats_of_int32(ptrdiff_t count, const int32_t *x, float *y) {
  kernels()->floats_of_int32(count, x, y);
}
void apus_floats_of_int64(ptrdiff_t count, const int64_t *x, float *y) {
  kernels()->floats_of_int64(count, x, y);
}
void apus_floats_of_uint8(ptrdiff_t count, const uint8_t *x, float *y) {
  kernels()->floats_of_uint8(count, x, y);
}
void apus_floats_of_truths(ptrdiff_t count, const uint8_t *x, float *y) {
  kernels()->floats_of_truths(count, x, y);
}

void apus_reduce(
  apus_reduction reduction, ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float *y) {
  kernels()->reduce(reduction, outer, count, inner, x, y);
}

void apus_extremes(
  ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float *least, float *greatest) {
  kernels()->extremes(outer, count, inner, x, least, greatest);
}

void apus_axis_norm(
  ptrdiff_t outer, ptrdiff_t count, ptrdiff_t inner, const float *x, float epsilon, const float *scale,
  const float *bias, float *y) {
  kernels()->axis_norm(outer, count, inner, x, epsilon, scale, bias, y);
}

void apus_arg_max(ptrdiff_t rows, ptrdiff_t columns, const float *x, bool selects_last, long long *y) {
  kernels()->arg_max(rows, columns, x, selects_last, y);
}

void apus_transpose_4(
  ptrdiff_t rows, ptrdiff_t columns, const uint32_t *x, ptrdiff_t x_stride, uint32_t *y, ptrdiff_t y_stride) {
  kernels()->transpose_4(rows, columns, x, x_stride, y, y_stride);
}

void apus_transpose_8(
  ptrdiff_t rows, ptrdiff_t columns, const uint64_t *x, ptrdiff_t x_stride, uint64_t *y, ptrdiff_t y_stride) {
  kernels()->transpose_8(rows, columns, x, x_stride, y, y_stride);
}
