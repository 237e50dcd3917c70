// What `apus_features.h` promises, by the kernels of the present level.
#include "kernels.h"

void apus_scale_features(
  apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t x_stride,
  const float *offset, const float *scale, bool is_one, float *y, ptrdiff_t y_stride) {
  kernels()->scale_features(feature, rows, columns, x, x_stride, offset, scale, is_one, y, y_stride);
}

void apus_normalize_features(
  apus_norm norm, apus_feature feature, ptrdiff_t rows, ptrdiff_t columns, const void *x, ptrdiff_t x_stride,
  float *y, ptrdiff_t y_stride) {
  kernels()->normalize_features(norm, feature, rows, columns, x, x_stride, y, y_stride);
}

void apus_distances(
  ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t outputs, const float *x, ptrdiff_t x_stride,
  const float *packed, float factor, float *y, ptrdiff_t y_stride) {
  kernels()->distances(rows, inputs, outputs, x, x_stride, packed, factor, y, y_stride);
}

double apus_dot(ptrdiff_t count, const float *a, const float *b) { return kernels()->dot(count, a, b); }
