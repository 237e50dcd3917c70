// y = activation(x Wᵀ + b) over packed weights, tile by tile.
//
// One tile's rows go through all weights in one linear walk. Many rows by many weights are blocked: of
// BLOCK_INPUTS inputs a panel's piece stays in the first-level cache while all tiles pass by, and the tiles'
// pieces of x stay in the second. These are packed, as rows of x may lie so that they share a few sets of the
// first:
//
//   packed:  | input 0: row 0, row 1, ... row 5 | input 1: row 0, ... |  ...  for each tile
//
//   for blocks of BLOCK_ROWS rows, for blocks of BLOCK_INPUTS inputs, for panels, for tiles
//
// Sums rest in y between blocks of inputs. After Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", ACM TOMS 34 (2008).

/// Inputs of which a tile's panels take 16 KiB.
#define BLOCK_INPUTS (256 / MOST_PANELS)
#define BLOCK_ROWS 128
/// Fewest weights for which packing x pays.
#define BLOCKED_WEIGHTS (768 << 10)

/// How rows are cut into tiles: as few as can be, their heights as equal as can be.
struct cut {
  ptrdiff_t tiles, height, higher;
};

INLINE struct cut cut_rows(ptrdiff_t rows) {
  const ptrdiff_t tiles = (rows + MOST_ROWS - 1) / MOST_ROWS;
  return (struct cut){tiles, rows / tiles, rows % tiles};
}

INLINE int height_of(const struct cut *cut, ptrdiff_t tile) {
  return (int)(cut->height + (tile < cut->higher));
}

/// All tiles of one or two panels, by the inputs from `first_input` on.
INLINE void all_tiles(
  struct tile *t, const struct linear *l, const struct cut *cut, enum row_layout layout,
  ptrdiff_t first_input, ptrdiff_t first_output) {
  const ptrdiff_t columns = least(l->outputs - first_output, MOST_PANELS * PANEL);
  const int panels = (int)((columns + PANEL - 1) / PANEL);
  t->packed = weights_from(l->format, l->packed, first_output * l->inputs + first_input * PANEL);
  t->bias = l->bias ? l->bias + first_output : 0;
  t->y = l->y + first_output;
  // One tile fetches its own weights ahead; of several, each fetches a part of the next panels.
  t->ahead_step = weight_bytes(l->format, PANEL) / cut->tiles;
  t->ahead = weights_from(l->format, t->packed, cut->tiles == 1 ? AHEAD : panels * t->panel_stride);
  for (ptrdiff_t tile = 0; tile < cut->tiles; tile++) {
    const int rows = height_of(cut, tile);
    any_tile(l->format, layout, t, rows, panels, columns);
    t->x += rows * (layout == rows_are_packed ? t->inputs : t->x_stride);
    t->y += rows * t->y_stride;
    t->ahead += t->ahead_step * t->inputs;
  }
}

INLINE struct tile tile_of(const struct linear *l) {
  return (struct tile){
    .inputs = l->inputs,
    .x_stride = l->x_stride,
    .panel_stride = l->inputs * PANEL,
    .y_stride = l->y_stride,
    .is_first = true,
    .is_last = true,
    .activation = l->activation,
    .alpha = l->alpha,
    .beta = l->beta,
  };
}

/// Packs a tile's rows, four and more in squares of which the last may overlap the one before it.
INLINE void pack_height(ptrdiff_t height, ptrdiff_t inputs, const float *x, ptrdiff_t stride, float *packed) {
  const ptrdiff_t whole_inputs = height < 4 ? 0 : inputs & ~3;
  for (ptrdiff_t input = 0; input < whole_inputs; input += 4)
    for (ptrdiff_t row = 0; row < height; row += 4) {
      const ptrdiff_t first = least(row, height - 4);
      turn_square(x + first * stride + input, stride, packed + input * height + first, height);
    }
  for (ptrdiff_t input = whole_inputs; input < inputs; input++)
    for (ptrdiff_t row = 0; row < height; row++) packed[input * height + row] = x[row * stride + input];
}

static void pack_tiles(
  const struct cut *cut, ptrdiff_t inputs, const float *x, ptrdiff_t stride, float *packed) {
  for (ptrdiff_t tile = 0; tile < cut->tiles; tile++) {
    const int height = height_of(cut, tile);
    pack_height(height, inputs, x, stride, packed);
    x += height * stride;
    packed += height * inputs;
  }
}

/// At most BLOCK_ROWS rows.
static void blocked_linear(const struct linear *l) {
  float x[BLOCK_ROWS * BLOCK_INPUTS] __attribute__((aligned(64)));
  struct tile t = tile_of(l);
  const struct cut cut = cut_rows(l->rows);
  for (ptrdiff_t input = 0; input < l->inputs; input += BLOCK_INPUTS) {
    t.inputs = least(BLOCK_INPUTS, l->inputs - input);
    t.is_first = input == 0;
    t.is_last = input + t.inputs == l->inputs;
    pack_tiles(&cut, t.inputs, l->x + input, l->x_stride, x);
    for (ptrdiff_t output = 0; output < l->outputs; output += MOST_PANELS * PANEL) {
      t.x = x;
      all_tiles(&t, l, &cut, rows_are_packed, input, output);
    }
  }
}

static bool is_blocked(const struct linear *l) {
  return l->rows > 2 * MOST_ROWS && l->outputs >= 4 * PANEL && l->inputs * l->outputs >= BLOCKED_WEIGHTS;
}

static void all_blocks(const struct linear *l) {
  struct linear block = *l;
  for (ptrdiff_t row = 0; row < l->rows; row += BLOCK_ROWS) {
    block.rows = least(BLOCK_ROWS, l->rows - row);
    block.x = l->x + row * l->x_stride;
    block.y = l->y + row * l->y_stride;
    blocked_linear(&block);
  }
}

/// As many outputs of one row as wide tiles take: how many these are.
INLINE ptrdiff_t wide_outputs(struct tile *t, const struct linear *l) {
  ptrdiff_t output = 0;
#if WIDTH == 8
  const ptrdiff_t columns = WIDE_PANELS * PANEL;
  t->x = l->x;
  t->ahead_step = weight_bytes(l->format, PANEL);
  for (; output + columns <= l->outputs; output += columns) {
    t->packed = weights_from(l->format, l->packed, output * l->inputs);
    t->bias = l->bias ? l->bias + output : 0;
    t->y = l->y + output;
    t->ahead = weights_from(l->format, t->packed, AHEAD);
    wide_tiles[l->format](t);
    if (t->activation >= apus_activation_sigmoid) activate_row(t->activation, columns, t->y);
  }
#else
  (void)t, (void)l;
#endif
  return output;
}

static void linear(const struct linear *l) {
  if (l->rows <= 0) return;
  if (is_blocked(l)) {
    all_blocks(l);
    return;
  }
  struct tile t = tile_of(l);
  const struct cut cut = cut_rows(l->rows);
  const ptrdiff_t first = l->rows == 1 ? wide_outputs(&t, l) : 0;
  for (ptrdiff_t output = first; output < l->outputs; output += MOST_PANELS * PANEL) {
    t.x = l->x;
    all_tiles(&t, l, &cut, rows_are_apart, 0, output);
  }
}
