// Convolutions as products of matrices: the weights of a group [outputs, inputs] with the columns of its
// images [inputs, places].
//
// Where there are enough outputs, columns are laid out in panels, piece by piece (`conv_columns.inc.h`):
//
//   for as many columns as fit, for blocks of inputs, for sixes of outputs, for the columns' panels
//
// Sums rest in y between blocks of inputs. A piece of all panels stays in the second-level cache, a six's
// weights in the first (Goto and van de Geijn, as in `linear.inc.h`). Where outputs are few, and in depthwise
// convolutions, it would take longer to lay columns out than to read them where they are.

/// Most outputs of a group, and inputs, for which columns are read where they are.
#define FEW_OUTPUTS 16
#define FEW_INPUTS 384
/// Outputs whose weights pass by each panel in turn; whole sixes.
#define SOME_OUTPUTS 96

/// Applies activations that are functions of their own, while a tile is in cache.
INLINE void activate_rows(const struct conv *c, int rows, ptrdiff_t count, float *y, ptrdiff_t y_step) {
  if (c->activation >= apus_activation_sigmoid)
    for (int row = 0; row < rows; row++) activate_row(c->activation, count, y + row * y_step);
}

/// A tile of which some columns do not exist, or belong to the next image: it is computed beside y.
///
/// `place` is that of its first column in y and the addend, whose images are `image_step` floats apart.
static __attribute__((noinline)) void ragged_panel_tile(
  const struct conv *c, const struct conv_tile *whole, int rows, ptrdiff_t columns, ptrdiff_t place,
  ptrdiff_t image_step) {
  const ptrdiff_t width = CONV_VECTORS * WIDTH;
  float y[CONV_ROWS * CONV_VECTORS * WIDTH], addend[CONV_ROWS * CONV_VECTORS * WIDTH];
  struct conv_tile t = *whole;
  t.y = y;
  t.addend = whole->addend ? addend : 0;
  t.y_step = width;
  if (!t.is_first) memset(y, 0, sizeof y);
  if (t.addend) memset(addend, 0, sizeof addend);
  for (int phase = 0; phase < 2; phase++) {
    ptrdiff_t from = place % c->places, image = 0;
    for (ptrdiff_t at = 0; at < columns; from = 0, image += image_step) {
      const ptrdiff_t count = least(columns - at, c->places - from);
      for (int row = 0; row < rows; row++) {
        const ptrdiff_t there = row * whole->y_step + image + from, here = row * width + at;
        if (phase == 1) copy_floats(count, y + here, whole->y + there);
        if (phase == 0 && !t.is_first) copy_floats(count, whole->y + there, y + here);
        if (phase == 0 && t.addend) copy_floats(count, whole->addend + there, addend + here);
      }
      at += count;
    }
    if (phase == 0) {
      panel_tiles[rows - 1][(columns + WIDTH - 1) / WIDTH - 1](&t);
      if (t.is_last) activate_rows(c, rows, columns, y, width);
    }
  }
}

/// What a block of a group's sums needs besides tiles.
struct conv_block {
  const struct conv *c;
  const float *weights, *panels;
  /// Of the group; the addend and y in the first image.
  const float *bias, *addend;
  float *y;
  /// The first column of the panels, among all.
  ptrdiff_t first;
};

/// The outputs from `first_output` up to `end` of the tile of columns from `at` on.
INLINE void add_tiles(
  const struct conv_block *b, struct conv_tile *t, ptrdiff_t first_output, ptrdiff_t end, ptrdiff_t at,
  ptrdiff_t columns) {
  const struct conv *c = b->c;
  const ptrdiff_t image_step = c->shape.groups * c->shape.outputs * c->places;
  const ptrdiff_t image = (b->first + at) / c->places, place = b->first + at - image * c->places;
  const bool is_of_one = place + columns <= c->places, is_narrow = is_of_one && columns <= MOST_NARROW;
  const bool is_whole = is_of_one && columns % WIDTH == 0;
  t->columns = b->panels + at * t->inputs;
  for (ptrdiff_t output = first_output; output < end; output += CONV_ROWS) {
    const ptrdiff_t six = output - output % CONV_GROUP;
    const int rows = (int)least(CONV_ROWS, end - output);
    const ptrdiff_t start = image * image_step + output * c->places + (is_whole || is_narrow ? place : 0);
    t->weight_step = least(CONV_GROUP, c->shape.outputs - six);
    t->weights = b->weights + six * t->inputs + (output - six);
    t->bias = b->bias ? b->bias + output : 0;
    t->y = b->y + start;
    t->addend = b->addend ? b->addend + start : 0;
    if (is_narrow) {
      narrow_tiles[columns - 1](rows, t);
    } else if (is_whole) {
      panel_tiles[rows - 1][columns / WIDTH - 1](t);
    } else {
      ragged_panel_tile(c, t, rows, columns, place, image_step);
      continue;
    }
    if (t->is_last) activate_rows(c, rows, columns, t->y, t->y_step);
  }
}

/// All outputs of a group for some panels of columns.
static void add_block(const struct conv_block *b, struct conv_tile *t, ptrdiff_t columns) {
  const ptrdiff_t outputs = b->c->shape.outputs, width = CONV_VECTORS * WIDTH;
  t->panel_step = t->inputs * PANEL;
  t->y_step = b->c->places;
  for (ptrdiff_t first = 0; first < outputs; first += SOME_OUTPUTS)
    for (ptrdiff_t at = 0; at < columns; at += width)
      add_tiles(b, t, first, least(outputs, first + SOME_OUTPUTS), at, least(columns - at, width));
}

/// A group of images that are computed together, by panels.
static void conv_by_panels(
  const struct conv *c, struct conv_tile *t, const float *images, ptrdiff_t image_step, ptrdiff_t count,
  const float *weights, const float *bias, const float *addend, float *y, float *panels) {
  const ptrdiff_t columns = count * c->places;
  const ptrdiff_t most = CONV_TILE_FLOATS / c->block_inputs / PANEL * PANEL;
  const ptrdiff_t tiles = (columns + most - 1) / most;
  const ptrdiff_t width = ((columns + tiles - 1) / tiles + PANEL - 1) / PANEL * PANEL;
  for (ptrdiff_t first = 0; first < columns; first += width) {
    const ptrdiff_t some = least(width, columns - first);
    for (ptrdiff_t block = 0; block < c->inputs; block += c->block_inputs) {
      t->inputs = least(c->block_inputs, c->inputs - block);
      t->is_first = block == 0;
      t->is_last = block + t->inputs == c->inputs;
      lay_columns(c, images, image_step, first, some, c->offsets + block, t->inputs, panels);
      const struct conv_block b = {
        .c = c,
        .weights = weights + block * c->shape.outputs,
        .panels = panels,
        .bias = bias,
        .addend = addend,
        .y = y,
        .first = first,
      };
      add_block(&b, t, some);
    }
  }
}

/// Sets the next vectors of a tile that reads an image where it is; false at the end.
INLINE bool next_vectors(
  const struct conv *c, struct conv_tile *t, const float *image, int vectors, ptrdiff_t *place) {
  if (*place == c->places) return false;
  for (int v = 0; v < vectors; v++) {
    if (*place == c->places) {
      // Columns that are not there are computed from others, and nowhere written.
      t->starts[v] = t->starts[0];
      t->targets[v] = t->targets[0];
      t->counts[v] = 0;
      continue;
    }
    const ptrdiff_t column = *place % c->row_places;
    t->starts[v] = image + *place / c->row_places * c->row_step + column;
    t->targets[v] = *place;
    // What a vector writes beyond its row is written again by the next one, unless the output ends there.
    t->counts[v] = least(WIDTH, c->places - *place);
    *place += least(WIDTH, c->row_places - column);
  }
  return true;
}

/// A group of one image, whose columns are read where they are.
static void conv_directly(
  const struct conv *c, struct conv_tile *t, const float *image, const float *weights, const float *bias,
  const float *addend, float *y) {
  t->inputs = c->inputs;
  t->offsets = c->offsets;
  t->y_step = c->places;
  for (ptrdiff_t output = 0; output < c->shape.outputs;) {
    const ptrdiff_t six = output / CONV_GROUP * CONV_GROUP;
    t->weight_step = least(CONV_GROUP, c->shape.outputs - six);
    const int rows = (int)least(CONV_ROWS, six + t->weight_step - output);
    t->weights = weights + six * c->inputs + (output - six);
    t->bias = bias ? bias + output : 0;
    t->addend = addend ? addend + output * c->places : 0;
    t->y = y + output * c->places;
    ptrdiff_t place = 0;
    while (next_vectors(c, t, image, DIRECT_VECTORS(rows), &place)) direct_tiles[rows - 1](t);
    activate_rows(c, rows, c->places, t->y, t->y_step);
    output += rows;
  }
}

static void conv(const struct conv *c) {
  const apus_conv_shape *shape = &c->shape;
  // Vectors must not read beyond an image that is not followed by scratch memory.
  const bool is_in_place = c->is_prepared && c->row_places % WIDTH == 0;
  const bool is_direct = c->inputs <= FEW_INPUTS && shape->outputs <= FEW_OUTPUTS;
  const ptrdiff_t joined = is_direct ? 1 : c->joined_images;
  const ptrdiff_t x_floats = shape->channels * shape->height.input * shape->width.input;
  const ptrdiff_t y_floats = shape->outputs * c->places;
  float *panels = c->scratch + ((c->image_floats * least(c->joined_images, c->images) + 64 + 15) & ~15);
  struct conv_tile t = {
    .is_first = true, .is_last = true, .activation = c->activation, .alpha = c->alpha, .beta = c->beta};
  for (ptrdiff_t image = 0; image < c->images; image += joined)
    for (ptrdiff_t group = 0; group < shape->groups; group++) {
      const ptrdiff_t count = least(joined, c->images - image);
      const float *source = c->x + (image * shape->groups + group) * x_floats;
      if (!is_in_place)
        for (ptrdiff_t i = 0; i < count; i++)
          prepare(c, source + i * shape->groups * x_floats, c->scratch + i * c->image_floats);
      const float *images = is_in_place ? source : c->scratch;
      const ptrdiff_t image_step = is_in_place ? shape->groups * x_floats : c->image_floats;
      const float *weights = c->weights + group * shape->outputs * c->inputs;
      const float *bias = c->bias ? c->bias + group * shape->outputs : 0;
      const ptrdiff_t start = (image * shape->groups + group) * y_floats;
      const float *addend = c->addend ? c->addend + start : 0;
      if (is_direct) {
        conv_directly(c, &t, images, weights, bias, addend, c->y + start);
      } else {
        conv_by_panels(c, &t, images, image_step, count, weights, bias, addend, c->y + start, panels);
      }
    }
}
