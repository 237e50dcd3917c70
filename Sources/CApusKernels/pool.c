// What `apus_pool.h` promises, by the kernels of the present level.
#include "kernels.h"

ptrdiff_t pool_line_floats(const apus_axis *width) {
  const ptrdiff_t read = (width->output - 1) * width->stride + (width->kernel - 1) * width->dilation + 1;
  const ptrdiff_t written = width->before + width->input;
  // Vectors of two strides read beyond what they need.
  return ((read > written ? read : written) + 64 + 15) & ~15;
}

bool is_computed_quickly(const apus_axis *axis) {
  const ptrdiff_t most = (ptrdiff_t)1 << 30;
  const ptrdiff_t sizes[] = {axis->input, axis->kernel, axis->stride, axis->dilation, axis->output};
  for (int i = 0; i < 5; i++)
    if (sizes[i] < 1 || sizes[i] > most) return false;
  if (axis->before < 0 || axis->before > most || axis->after < 0 || axis->after > most) return false;
  return axis->kernel <= 2 * axis->input + 64;
}

ptrdiff_t apus_pool_scratch_floats(const apus_axis *height, const apus_axis *width) {
  if (!is_computed_quickly(height) || !is_computed_quickly(width)) return 0;
  const ptrdiff_t line = pool_line_floats(width);
  if (line > 16 * (width->input + width->output) + 4096) return 0;
  // Vectors of counts are read beyond the last.
  return line + width->output + 16;
}

void apus_pool(
  apus_pool_kind kind, ptrdiff_t planes, const apus_axis *height, const apus_axis *width, const float *x,
  float *y, float *scratch) {
  const struct pool p = {
    .kind = kind, .planes = planes, .height = height, .width = width, .x = x, .y = y, .scratch = scratch};
  kernels()->pool(&p);
}

void apus_pool_rows(apus_pool_kind kind, ptrdiff_t rows, ptrdiff_t columns, const float *x, float *y) {
  kernels()->pool_rows(kind, rows, columns, x, y);
}
