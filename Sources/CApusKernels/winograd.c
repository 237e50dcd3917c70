// What `apus_winograd.h` promises, by the kernels of the present level; and the layout of packed weights.
//
// The window g of an output and a channel becomes the 16 elements of G g Gᵀ. Those of one element lie
// together, as the weights of a convolution of one point do: outputs in sixes, of which the last may be
// fewer, and in each six the weights of the first channel, then of the second:
//
//   element 0 | element 1 | ... | element 15
//   element: | outputs 0..5 | outputs 6..11 | ...
//            six: | channel 0 | channel 1 | ...
#include <string.h>

#include "kernels.h"

/// Floats of transformed inputs and of products that lie in scratch memory at a time, where a row of squares
/// is not more.
#define BLOCK_FLOATS (256 << 10)

static bool is_window(const apus_axis *axis) {
  return is_computed_quickly(axis) && axis->kernel == 3 && axis->stride == 1 && axis->dilation == 1;
}

/// What the panels of so many squares cost, in squares of a full one: few of them are multiplied one by one.
static ptrdiff_t panel_cost(ptrdiff_t squares) {
  const ptrdiff_t rest = squares & 15;
  return squares - rest + (rest == 0 ? 0 : rest <= 4 ? 2 * rest : rest <= 8 ? 11 : 16);
}

/// As many rows of squares as are computed at a time: of those that fit, the number whose panels cost least.
static ptrdiff_t block_rows(const struct winograd *w) {
  const ptrdiff_t row = WINOGRAD_ELEMENTS * w->row_squares * (w->shape.channels + w->shape.outputs);
  const ptrdiff_t most = BLOCK_FLOATS / row;
  ptrdiff_t best = 1;
  for (ptrdiff_t rows = 1 + most / 2; rows <= most; rows++) {
    const ptrdiff_t cost = panel_cost(rows * w->row_squares);
    const ptrdiff_t least_cost = panel_cost(best * w->row_squares);
    if (cost * best <= least_cost * rows) best = rows;
  }
  return best;
}

static ptrdiff_t whole_lines(ptrdiff_t floats) { return (floats + 15) & ~(ptrdiff_t)15; }

/// All that follows from a shape; false where it is of another kind, or too large.
static bool plan(const apus_conv_shape *shape, ptrdiff_t images, struct winograd *w) {
  if (!is_window(&shape->height) || !is_window(&shape->width)) return false;
  if (shape->groups != 1 || shape->channels < 1 || shape->outputs < 1 || images < 1) return false;
  if (bounded_product(WINOGRAD_ELEMENTS, bounded_product(shape->channels, shape->outputs)) > MOST_FLOATS)
    return false;
  w->shape = *shape;
  w->images = images;
  w->row_squares = (shape->width.output + 1) / 2;
  w->image_rows = (shape->height.output + 1) / 2;
  // Scratch memory holds at least one row of squares, in whole panels.
  const ptrdiff_t row = WINOGRAD_ELEMENTS * (w->row_squares + 16);
  if (bounded_product(row, shape->channels + shape->outputs + 2) > MOST_FLOATS) return false;
  if (bounded_product(w->image_rows, w->row_squares) > MOST_FLOATS) return false;
  w->block_rows = least(block_rows(w), bounded_product(w->image_rows, images));
  const ptrdiff_t squares = w->block_rows * w->row_squares, columns = whole_lines(squares);
  // Vectors are read and written beyond the end by at most twice their 16 floats.
  w->padded_floats = whole_lines(2 * w->row_squares + 2 + 32);
  w->line_floats = whole_lines(squares + w->row_squares + 16);
  w->input_step = columns * (shape->channels + 1) + 16;
  w->product_step = columns * shape->outputs + 16;
  w->output_floats = 2 * columns + 32;
  return true;
}

ptrdiff_t apus_winograd_packed_floats(const apus_conv_shape *shape) {
  struct winograd w;
  return plan(shape, 1, &w) ? WINOGRAD_ELEMENTS * shape->channels * shape->outputs + CONV_SLACK : 0;
}

/// G g Gᵀ.
static void transform_window(const float *window, float *elements) {
  double rows[4][3];
  for (int column = 0; column < 3; column++) {
    const double a = window[column], b = window[3 + column], c = window[6 + column];
    rows[0][column] = a;
    rows[1][column] = (a + b + c) / 2;
    rows[2][column] = (a - b + c) / 2;
    rows[3][column] = c;
  }
  for (int row = 0; row < 4; row++) {
    const double a = rows[row][0], b = rows[row][1], c = rows[row][2];
    *elements++ = (float)a;
    *elements++ = (float)((a + b + c) / 2);
    *elements++ = (float)((a - b + c) / 2);
    *elements++ = (float)c;
  }
}

void apus_winograd_pack(const apus_conv_shape *shape, const float *weights, float *packed) {
  struct winograd w;
  if (!plan(shape, 1, &w)) return;
  const ptrdiff_t channels = shape->channels, outputs = shape->outputs;
  for (ptrdiff_t six = 0; six < outputs; six += CONV_GROUP)
    for (ptrdiff_t channel = 0; channel < channels; channel++)
      for (ptrdiff_t output = six; output < least(outputs, six + CONV_GROUP); output++, packed++) {
        float elements[WINOGRAD_ELEMENTS];
        transform_window(weights + (output * channels + channel) * 9, elements);
        for (int i = 0; i < WINOGRAD_ELEMENTS; i++) packed[i * channels * outputs] = elements[i];
      }
  memset(packed + (WINOGRAD_ELEMENTS - 1) * channels * outputs, 0, CONV_SLACK * sizeof(float));
}

ptrdiff_t apus_winograd_scratch_floats(const apus_conv_shape *shape, ptrdiff_t images) {
  struct winograd w;
  if (!plan(shape, images, &w)) return 0;
  return WINOGRAD_ELEMENTS * (w.input_step + w.product_step) + 8 * w.line_floats + 2 * w.output_floats
    + 2 * (w.block_rows + 1) * w.padded_floats;
}

void apus_winograd(
  const apus_conv_shape *shape, ptrdiff_t images, const float *x, const float *packed, const float *bias,
  const float *addend, apus_activation activation, float alpha, float beta, float *y, float *scratch) {
  struct winograd w;
  if (!plan(shape, images, &w)) return;
  w.x = x;
  w.weights = packed;
  w.bias = bias;
  w.addend = addend;
  w.activation = activation;
  w.alpha = alpha;
  w.beta = beta;
  w.y = y;
  w.inputs = scratch;
  w.products = w.inputs + WINOGRAD_ELEMENTS * w.input_step;
  w.lines = w.products + WINOGRAD_ELEMENTS * w.product_step;
  w.sums = w.lines + 8 * w.line_floats;
  w.padded = w.sums + 2 * w.output_floats;
  kernels()->winograd(&w);
}
