// What `apus_conv.h` promises, by the kernels of the present level; and the layout of packed weights.
//
// All sums of a group have the same inputs, in ONNX's order of weights: channel, row and column of the
// kernel. Packed are first, for each input, its place in a prepared image (see `conv.inc.h`), as a 32-bit
// integer; and then the weights. Blocks of inputs follow one another, in each of them outputs in sixes, of
// which the last may be fewer, and in each six the weights of the first input, then of the second:
//
//   places | group 0 | group 1 | ...
//            group: | inputs 0..b-1 | inputs b..2b-1 | ...
//                     block: | outputs 0..5 | outputs 6..11 | ...
//                              six: | input 0 | input 1 | ...
#include <string.h>

#include "kernels.h"

/// Inputs that are added at a time: the panel of columns of so many inputs stays in the first-level cache.
#define BLOCK_INPUTS 384
/// Images with fewer places are computed together with others, so that few columns of panels are lost.
#define FEW_PLACES 128
/// Most images, and floats of prepared ones, that are computed together.
#define MOST_JOINED 16
#define MOST_JOINED_FLOATS (1 << 20)

static ptrdiff_t greatest_divisor(ptrdiff_t a, ptrdiff_t b) {
  while (b) {
    ptrdiff_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/// After how many elements of the window its places in the stride come again.
static ptrdiff_t period(const apus_axis *axis) {
  return axis->stride / greatest_divisor(axis->stride, axis->dilation);
}

static struct lines lines(const apus_axis *axis) {
  return (struct lines){
    .slots = least(axis->kernel, period(axis)),
    .length = axis->output + (axis->kernel - 1) * axis->dilation / axis->stride,
  };
}

/// Whether a line is the input as it lies.
static bool is_as_it_lies(const apus_axis *axis, struct lines lines) {
  return axis->stride == 1 && axis->before == 0 && lines.length == axis->input;
}

/// As many images as fill panels best.
static ptrdiff_t joined_images(const struct conv *c) {
  if (c->places >= FEW_PLACES) return 1;
  ptrdiff_t best = 1;
  const ptrdiff_t most = least(MOST_JOINED, MOST_JOINED_FLOATS / c->image_floats);
  for (ptrdiff_t images = 2; images <= most; images++) {
    const ptrdiff_t lost = -(images * c->places) & 15, least_lost = -(best * c->places) & 15;
    if (lost * best < least_lost * images) best = images;
  }
  return best;
}

/// All that follows from a shape; false where it is too large.
static bool plan(const apus_conv_shape *shape, struct conv *c) {
  if (!is_computed_quickly(&shape->height) || !is_computed_quickly(&shape->width)) return false;
  if (shape->groups < 1 || shape->channels < 1 || shape->outputs < 1) return false;
  c->shape = *shape;
  c->height = lines(&shape->height);
  c->width = lines(&shape->width);
  c->plane_floats = bounded_product(
    bounded_product(c->height.slots, c->height.length), bounded_product(c->width.slots, c->width.length));
  c->image_floats = bounded_product(c->plane_floats, shape->channels);
  c->inputs = bounded_product(shape->channels, bounded_product(shape->height.kernel, shape->width.kernel));
  c->places = bounded_product(shape->height.output, shape->width.output);
  const ptrdiff_t weights = bounded_product(bounded_product(shape->groups, shape->outputs), c->inputs);
  const ptrdiff_t usual = bounded_product(shape->height.input, shape->width.input) + c->places + 4096;
  if (c->plane_floats > 16 * usual) return false;
  if (c->image_floats > MOST_FLOATS || weights > MOST_FLOATS || c->places > MOST_FLOATS) return false;
  const ptrdiff_t blocks = (c->inputs + BLOCK_INPUTS - 1) / BLOCK_INPUTS;
  c->block_inputs = (c->inputs + blocks - 1) / blocks;
  const bool is_one_row = c->width.length == shape->width.output;
  c->row_places = is_one_row ? c->places : shape->width.output;
  c->row_step = is_one_row ? c->places : c->width.length;
  c->joined_images = joined_images(c);
  c->is_prepared = is_as_it_lies(&shape->height, c->height) && is_as_it_lies(&shape->width, c->width);
  return true;
}

/// Floats that the places of inputs take.
static ptrdiff_t offset_floats(const struct conv *c) { return (c->inputs + 15) & ~15; }

ptrdiff_t apus_conv_packed_floats(const apus_conv_shape *shape) {
  struct conv c;
  if (!plan(shape, &c)) return 0;
  return offset_floats(&c) + shape->groups * shape->outputs * c.inputs + CONV_SLACK;
}

static void pack_offsets(const struct conv *c, int32_t *offsets) {
  const apus_axis *height = &c->shape.height, *width = &c->shape.width;
  const ptrdiff_t height_period = period(height), width_period = period(width);
  const ptrdiff_t line_floats = c->height.length * c->width.length;
  for (ptrdiff_t channel = 0; channel < c->shape.channels; channel++)
    for (ptrdiff_t row = 0; row < height->kernel; row++)
      for (ptrdiff_t column = 0; column < width->kernel; column++) {
        const ptrdiff_t slot = row % height_period * c->width.slots + column % width_period;
        *offsets++ = (int32_t)(
          channel * c->plane_floats + slot * line_floats
          + row * height->dilation / height->stride * c->width.length
          + column * width->dilation / width->stride);
      }
}

void apus_conv_pack(const apus_conv_shape *shape, const float *weights, float *packed) {
  struct conv c;
  if (!plan(shape, &c)) return;
  pack_offsets(&c, (int32_t *)packed);
  packed += offset_floats(&c);
  for (ptrdiff_t group = 0; group < shape->groups; group++, weights += shape->outputs * c.inputs)
    for (ptrdiff_t block = 0; block < c.inputs; block += c.block_inputs)
      for (ptrdiff_t six = 0; six < shape->outputs; six += CONV_GROUP)
        for (ptrdiff_t input = block; input < least(c.inputs, block + c.block_inputs); input++)
          for (ptrdiff_t output = six; output < least(shape->outputs, six + CONV_GROUP); output++)
            *packed++ = weights[output * c.inputs + input];
  memset(packed, 0, CONV_SLACK * sizeof(float));
}

ptrdiff_t apus_conv_scratch_floats(const apus_conv_shape *shape, ptrdiff_t images) {
  struct conv c;
  if (!plan(shape, &c)) return 0;
  // Whole cache lines, and what vectors read and write beyond the last of them.
  const ptrdiff_t prepared = c.image_floats * least(c.joined_images, images) + 64;
  return ((prepared + 15) & ~15) + CONV_TILE_FLOATS + 64;
}

void apus_conv(
  const apus_conv_shape *shape, ptrdiff_t images, const float *x, const float *packed, const float *bias,
  const float *addend, apus_activation activation, float alpha, float beta, float *y, float *scratch) {
  struct conv c;
  if (!plan(shape, &c)) return;
  c.images = images;
  c.x = x;
  c.offsets = (const int32_t *)packed;
  c.weights = packed + offset_floats(&c);
  c.bias = bias;
  c.addend = addend;
  c.activation = activation;
  c.alpha = alpha;
  c.beta = beta;
  c.y = y;
  c.scratch = scratch;
  kernels()->conv(&c);
}
