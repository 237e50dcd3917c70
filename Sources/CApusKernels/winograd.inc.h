// Convolutions of windows of 3 × 3 by Winograd's transforms: `apus_winograd.h`. A square of 2 × 2 sums is
//
//   Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A      g: a window, d: the 4 × 4 inputs that it meets at the square's places
//
//   Bᵀ = 1  0 -1  0      G =  1    0    0      Aᵀ = 1  1  1  0
//        0  1  1  0          1/2  1/2  1/2          0  1 -1 -1
//        0 -1  1  0          1/2 -1/2  1/2
//        0  1  0 -1           0    0    1
//
// of which ⊙ is summed over the channels: for each of its 16 elements a product of matrices, the weights
// [outputs, channels] by the inputs [channels, squares], by the tiles of `conv_tile.inc.h`. Some rows of
// squares are computed at a time, those of one image after those of another, so that all of this stays in
// the second-level cache or close to it:
//
//   padded    the rows of a channel that squares meet, with padding
//   lines     d B of these, [4 columns of B, even and odd rows, squares]: row i of squares meets the even
//             rows i and i + 1, and the odd ones, so that squares lie side by side across their rows
//   inputs    Bᵀ d B, [16 elements, panels of 16 squares, channels and one line more, 16]
//   products  [16 elements, outputs, squares]
//   sums      of an output, [even and odd rows, places]

/// Rows of squares of one image that are computed together, and the first of their columns among all.
struct square_rows {
  ptrdiff_t image, first, count, column;
};

/// The next such rows from `*row` on, before `end`, among those of all images.
INLINE struct square_rows next_square_rows(
  const struct winograd *w, ptrdiff_t first, ptrdiff_t end, ptrdiff_t *row) {
  struct square_rows rows = {
    .image = *row / w->image_rows,
    .first = *row % w->image_rows,
    .column = (*row - first) * w->row_squares,
  };
  rows.count = least(w->image_rows - rows.first, end - *row);
  *row += rows.count;
  return rows;
}

/// Fetches `count` floats ahead that are soon read or, if `is_target`, written.
INLINE void fetch(const float *from, ptrdiff_t count, const bool is_target) {
  for (ptrdiff_t i = 0; i < count; i += 16)
    if (is_target) {
      __builtin_prefetch(from + i, 1);
    } else {
      __builtin_prefetch(from + i);
    }
}

/// d B of a channel's rows.
INLINE void transform_rows(const struct winograd *w, const struct square_rows *rows, const float *plane) {
  const apus_axis *height = &w->shape.height, *width = &w->shape.width;
  const ptrdiff_t count = 2 * rows->count + 2, squares = w->row_squares, line = w->line_floats;
  for (ptrdiff_t i = 0; i < count; i++) {
    const ptrdiff_t row = 2 * rows->first + i - height->before;
    float *padded = w->padded + i * w->padded_floats;
    if (row < 0 || row >= height->input) {
      memset(padded, 0, (size_t)(2 * squares + 2) * sizeof(float));
    } else {
      prepare_line(width, 2 * squares + 2, -width->before, plane + row * width->input, padded);
    }
  }
  for (ptrdiff_t i = 0; i < count; i++) {
    const float *padded = w->padded + i * w->padded_floats;
    // What a vector writes beyond its row, the next row but one writes again.
    float *target = w->lines + i % 2 * line + i / 2 * squares;
    for (ptrdiff_t j = 0; j < squares; j += WIDTH) {
      const vff first = load_two(padded + 2 * j), next = load_two(padded + 2 * j + 2);
      store(target + j, first.even - next.even);
      store(target + 2 * line + j, first.odd + next.even);
      store(target + 4 * line + j, next.even - first.odd);
      store(target + 6 * line + j, first.odd - next.odd);
    }
  }
}

/// Bᵀ d B of a channel's squares, from lines to inputs. What a vector writes beyond the last square is
/// written again by the next squares, and beyond the panel by the next channel, or is the line more.
INLINE void transform_squares(const struct winograd *w, const struct square_rows *rows, ptrdiff_t channel) {
  const ptrdiff_t count = rows->count * w->row_squares, down = w->row_squares;
  const ptrdiff_t line = w->line_floats, step = w->input_step;
  for (ptrdiff_t i = 0; i < count;) {
    const ptrdiff_t column = rows->column + i, place = column % PANEL;
    const ptrdiff_t end = i + least(PANEL - place, count - i);
    float *inputs = w->inputs + ((column - place) * (w->shape.channels + 1) + channel * PANEL + place);
    for (int b = 0; b < 4; b++, inputs += step) {
      const float *even = w->lines + 2 * b * line + i, *odd = even + line;
      for (ptrdiff_t v = 0; v < end - i; v += WIDTH) {
        const vf row_0 = load(even + v), row_1 = load(odd + v);
        const vf row_2 = load(even + down + v), row_3 = load(odd + down + v);
        store(inputs + v, row_0 - row_2);
        store(inputs + 4 * step + v, row_1 + row_2);
        store(inputs + 8 * step + v, row_2 - row_1);
        store(inputs + 12 * step + v, row_1 - row_3);
      }
    }
    i = end;
  }
}

static void transform_inputs(const struct winograd *w, ptrdiff_t first, ptrdiff_t end) {
  const ptrdiff_t width = w->shape.width.input, plane = w->shape.height.input * width;
  for (ptrdiff_t channel = 0; channel < w->shape.channels; channel++)
    for (ptrdiff_t row = first; row < end;) {
      const struct square_rows rows = next_square_rows(w, first, end, &row);
      const float *x = w->x + (rows.image * w->shape.channels + channel) * plane;
      fetch(x + plane + 2 * rows.first * width, (2 * rows.count + 2) * width, false);
      transform_rows(w, &rows, x);
      transform_squares(w, &rows, channel);
    }
}

/// The products of an element for so many squares, whose rows are `columns` floats apart.
static void multiply_element(const struct winograd *w, int element, ptrdiff_t squares, ptrdiff_t columns) {
  const ptrdiff_t channels = w->shape.channels, outputs = w->shape.outputs, width = CONV_VECTORS * WIDTH;
  const float *weights = w->weights + element * channels * outputs;
  struct conv_tile t = {
    .inputs = channels, .panel_step = (channels + 1) * PANEL, .y_step = columns, .is_first = true};
  for (ptrdiff_t first = 0; first < outputs; first += SOME_OUTPUTS)
    for (ptrdiff_t at = 0; at < squares; at += width) {
      const ptrdiff_t some = least(width, squares - at);
      const ptrdiff_t end = least(outputs, first + SOME_OUTPUTS);
      t.columns = w->inputs + element * w->input_step + at * (channels + 1);
      for (ptrdiff_t output = first; output < end; output += CONV_ROWS) {
        const ptrdiff_t six = output - output % CONV_GROUP;
        t.weight_step = least(CONV_GROUP, outputs - six);
        t.weights = weights + six * channels + (output - six);
        t.y = w->products + element * w->product_step + output * columns + at;
        const int rows = (int)least(CONV_ROWS, end - output);
        if (some <= MOST_NARROW) {
          narrow_tiles[some - 1](rows, &t);
        } else {
          panel_tiles[rows - 1][(some + WIDTH - 1) / WIDTH - 1](&t);
        }
      }
    }
}

/// Aᵀ m A of an output's products m, from products to sums.
INLINE void transform_products(const struct winograd *w, ptrdiff_t output, ptrdiff_t columns) {
  const ptrdiff_t step = w->product_step;
  const float *products = w->products + output * columns;
  for (ptrdiff_t i = 0; i < columns; i += WIDTH, products += WIDTH) {
    vf rows[2][4];
#pragma clang loop unroll(full)
    for (int b = 0; b < 4; b++) {
      const vf row_0 = load(products + b * step), row_1 = load(products + (4 + b) * step);
      const vf row_2 = load(products + (8 + b) * step), row_3 = load(products + (12 + b) * step);
      rows[0][b] = row_0 + row_1 + row_2;
      rows[1][b] = row_1 - row_2 - row_3;
    }
#pragma clang loop unroll(full)
    for (int row = 0; row < 2; row++) {
      vff places;
      places.even = rows[row][0] + rows[row][1] + rows[row][2];
      places.odd = rows[row][1] - rows[row][2] - rows[row][3];
      store_two(w->sums + row * w->output_floats + 2 * i, places);
    }
  }
}

/// A vector of activation(sums + bias + addend); activations that are functions of their own come later.
INLINE void finish_vector(
  const struct winograd *w, const float *sums, vf bias, const float *addend, float *y) {
  vf sum = load(sums) + bias;
  if (addend) sum += load(addend);
  activate(&sum, 1, w->activation, w->alpha, w->beta);
  store(y, sum);
}

/// A row of y.
INLINE void finish_row(
  const struct winograd *w, ptrdiff_t count, const float *sums, vf bias, const float *addend, float *y) {
  if (count < WIDTH) {
    float some[WIDTH], added[WIDTH] = {0};
    if (addend) memcpy(added, addend, (size_t)count * sizeof(float));
    finish_vector(w, sums, bias, addend ? added : 0, some);
    memcpy(y, some, (size_t)count * sizeof(float));
  } else {
    for (ptrdiff_t i = 0; i + WIDTH <= count; i += WIDTH)
      finish_vector(w, sums + i, bias, addend ? addend + i : 0, y + i);
    // The last vector may overlap the one before.
    const ptrdiff_t last = count - WIDTH;
    if (count % WIDTH) finish_vector(w, sums + last, bias, addend ? addend + last : 0, y + last);
  }
  if (w->activation >= apus_activation_sigmoid) activate_row(w->activation, count, y);
}

static void transform_outputs(const struct winograd *w, ptrdiff_t first, ptrdiff_t end, ptrdiff_t columns) {
  const ptrdiff_t height = w->shape.height.output, width = w->shape.width.output;
  for (ptrdiff_t output = 0; output < w->shape.outputs; output++) {
    transform_products(w, output, columns);
    const vf bias = splat(w->bias ? w->bias[output] : 0);
    for (ptrdiff_t row = first; row < end;) {
      const struct square_rows rows = next_square_rows(w, first, end, &row);
      const ptrdiff_t plane = (rows.image * w->shape.outputs + output) * height;
      const ptrdiff_t next = (plane + height + 2 * rows.first) * width, floats = 2 * rows.count * width;
      if (w->addend) fetch(w->addend + next, floats, false);
      fetch(w->y + next, floats, true);
      for (ptrdiff_t i = 2 * rows.first; i < least(height, 2 * (rows.first + rows.count)); i++) {
        const ptrdiff_t start = (plane + i) * width;
        const ptrdiff_t column = rows.column + (i / 2 - rows.first) * w->row_squares;
        finish_row(
          w, width, w->sums + i % 2 * w->output_floats + 2 * column, bias, w->addend ? w->addend + start : 0,
          w->y + start);
      }
    }
  }
}

static void winograd(const struct winograd *w) {
  const ptrdiff_t rows = w->images * w->image_rows;
  for (ptrdiff_t first = 0; first < rows; first += w->block_rows) {
    const ptrdiff_t end = least(rows, first + w->block_rows);
    const ptrdiff_t squares = (end - first) * w->row_squares;
    const ptrdiff_t columns = (squares + WIDTH - 1) / WIDTH * WIDTH;
    transform_inputs(w, first, end);
    for (int element = 0; element < WINOGRAD_ELEMENTS; element++)
      multiply_element(w, element, squares, columns);
    transform_outputs(w, first, end, columns);
  }
}
