// Prepares images for a convolution, and lays the columns of its inputs out in panels.
//
// A prepared image has its padding, and each of its rows and columns is dealt out to as many lines as the
// stride has places that elements of the window fall on. With a stride of 2 and a kernel of 3:
//
//   input:    . a b c d e f .      . is padding
//   line 0:   . b d f              what elements 0 and 2 of the window meet at places 0, 1, 2 and 1, 2, 3
//   line 1:   a c e                what element 1 meets
//
// So at all places side by side, an element of the window meets numbers side by side, whatever the stride:
// those of its input are at `offsets[input]` and what follows.
//
// A panel holds 16 places, one cache line for each input, as those of `linear_tile.inc.h`: "im2col"
// (Chellapilla et al. 2006) in pieces that stay in cache.

INLINE void copy_floats(ptrdiff_t count, const float *from, float *to) {
  ptrdiff_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH) store(to + i, load(from + i));
  // Not `store_some`, which is slow on some processors.
  for (; i < count; i++) to[i] = from[i];
}

/// Copies every second float.
INLINE void copy_seconds(ptrdiff_t count, const float *from, float *to) {
  ptrdiff_t i = 0;
  // The last of 2 · WIDTH floats is none of those that are wanted.
  for (; i + WIDTH < count; i += WIDTH) store(to + i, load_two(from + 2 * i).even);
  for (; i < count; i++) to[i] = from[2 * i];
}

/// Places of a line that lie on the input, when element 0 of it lies `start` from the input's.
INLINE void line_range(
  const apus_axis *axis, ptrdiff_t length, ptrdiff_t start, ptrdiff_t *lower, ptrdiff_t *upper) {
  const ptrdiff_t stride = axis->stride;
  *lower = start < 0 ? least(length, (stride - 1 - start) / stride) : 0;
  *upper = start < axis->input ? least(length, (axis->input - start + stride - 1) / stride) : 0;
  if (*upper < *lower) *upper = *lower;
}

/// A line of a row, with zeros for padding.
INLINE void prepare_line(
  const apus_axis *width, ptrdiff_t length, ptrdiff_t start, const float *row, float *line) {
  ptrdiff_t lower, upper;
  line_range(width, length, start, &lower, &upper);
  const ptrdiff_t stride = width->stride;
  for (ptrdiff_t i = 0; i < lower; i++) line[i] = 0;
  if (stride == 1) {
    copy_floats(upper - lower, row + start + lower, line + lower);
  } else if (stride == 2) {
    copy_seconds(upper - lower, row + start + 2 * lower, line + lower);
  } else {
    for (ptrdiff_t i = lower; i < upper; i++) line[i] = row[start + i * stride];
  }
  for (ptrdiff_t i = upper; i < length; i++) line[i] = 0;
}

/// Prepares the channels of one group of an image.
static void prepare(const struct conv *c, const float *image, float *prepared) {
  const apus_axis *height = &c->shape.height, *width = &c->shape.width;
  const ptrdiff_t length = c->width.length, line_floats = c->height.length * length;
  for (ptrdiff_t channel = 0; channel < c->shape.channels; channel++, image += height->input * width->input)
    for (ptrdiff_t slot = 0; slot < c->height.slots; slot++) {
      ptrdiff_t row = slot * height->dilation % height->stride - height->before;
      float *line = prepared + (channel * c->height.slots + slot) * c->width.slots * line_floats;
      for (ptrdiff_t i = 0; i < c->height.length; i++, row += height->stride, line += length)
        for (ptrdiff_t part = 0; part < c->width.slots; part++) {
          float *target = line + part * line_floats;
          if (row < 0 || row >= height->input) {
            memset(target, 0, (size_t)length * sizeof(float));
          } else {
            const ptrdiff_t start = part * width->dilation % width->stride - width->before;
            prepare_line(width, length, start, image + row * width->input, target);
          }
        }
    }
}

/// From where and to which place of each line of a panel vectors are copied. What a vector writes beyond its
/// piece is written again by the next one, and beyond the line by that of the next input.
struct pieces {
  int count;
  const float *from[PANEL];
  int to[PANEL];
};

/// The pieces of up to 16 columns of images that are `image_step` floats apart, from the column `first` on.
INLINE struct pieces find_pieces(
  const struct conv *c, const float *images, ptrdiff_t image_step, ptrdiff_t first, ptrdiff_t columns) {
  struct pieces p = {.count = 0};
  ptrdiff_t place = first % c->places;
  const float *image = images + first / c->places * image_step;
  for (ptrdiff_t at = 0; at < columns;) {
    const ptrdiff_t column = place % c->row_places;
    const float *from = image + place / c->row_places * c->row_step + column;
    const ptrdiff_t length = least(columns - at, c->row_places - column);
    for (ptrdiff_t i = 0; i < length; i += WIDTH) {
      p.from[p.count] = from + i;
      p.to[p.count++] = (int)(at + i);
    }
    at += length;
    place += length;
    if (place == c->places) {
      place = 0;
      image += image_step;
    }
  }
  // Columns that are not there become any numbers.
  for (ptrdiff_t at = p.to[p.count - 1] + WIDTH; at < PANEL; at += WIDTH) {
    p.from[p.count] = p.from[0];
    p.to[p.count++] = (int)at;
  }
  return p;
}

INLINE void lay_pieces(
  const int count, const struct pieces *p, const int32_t *offsets, ptrdiff_t inputs, float *panel) {
  for (ptrdiff_t k = 0; k < inputs; k++, panel += PANEL) {
    const ptrdiff_t offset = offsets[k];
#pragma clang loop unroll(full)
    for (int i = 0; i < count; i++) store(panel + p->to[i], load(p->from[i] + offset));
  }
}

/// Lays the inputs from `first_input` on of columns out in panels.
static void lay_columns(
  const struct conv *c, const float *images, ptrdiff_t image_step, ptrdiff_t first, ptrdiff_t columns,
  const int32_t *offsets, ptrdiff_t inputs, float *panels) {
  for (ptrdiff_t at = 0; at < columns; at += PANEL, panels += inputs * PANEL) {
    const struct pieces p = find_pieces(c, images, image_step, first + at, least(PANEL, columns - at));
    if (p.count == PANEL_VECTORS) {
      lay_pieces(PANEL_VECTORS, &p, offsets, inputs, panels);
    } else if (p.count == PANEL_VECTORS + 1) {
      lay_pieces(PANEL_VECTORS + 1, &p, offsets, inputs, panels);
    } else if (p.count == PANEL_VECTORS + 2) {
      lay_pieces(PANEL_VECTORS + 2, &p, offsets, inputs, panels);
    } else {
      lay_pieces(p.count, &p, offsets, inputs, panels);
    }
  }
}
