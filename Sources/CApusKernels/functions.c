// What `apus_functions.h`, `apus_rows.h` and `apus_elementwise.h` promise, by the kernels of the present
// level.
#include "kernels.h"

void apus_exp(ptrdiff_t count, const float *x, float *y) { kernels()->exp(count, x, y); }
void apus_log(ptrdiff_t count, const float *x, float *y) { kernels()->log(count, x, y); }
void apus_tanh(ptrdiff_t count, const float *x, float *y) { kernels()->tanh(count, x, y); }
void apus_erf(ptrdiff_t count, const float *x, float *y) { kernels()->erf(count, x, y); }
void apus_sigmoid(ptrdiff_t count, const float *x, float *y) { kernels()->sigmoid(count, x, y); }
void apus_gelu(ptrdiff_t count, const float *x, float *y) { kernels()->gelu(count, x, y); }
void apus_gelu_tanh(ptrdiff_t count, const float *x, float *y) { kernels()->gelu_tanh(count, x, y); }
void apus_relu(ptrdiff_t count, const float *x, float *y) { kernels()->relu(count, x, y); }

void apus_softmax(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride) {
  kernels()->softmax(rows, columns, x, x_stride, y, y_stride);
}

void apus_log_softmax(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float *y, ptrdiff_t y_stride) {
  kernels()->log_softmax(rows, columns, x, x_stride, y, y_stride);
}

void apus_layer_norm(
  ptrdiff_t rows, ptrdiff_t columns, const float *x, ptrdiff_t x_stride, float epsilon, const float *scale,
  const float *bias, float *y, ptrdiff_t y_stride) {
  kernels()->layer_norm(rows, columns, x, x_stride, epsilon, scale, bias, y, y_stride);
}
