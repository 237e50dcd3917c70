// y = activation(x Wᵀ + b) over packed weights.
//
// W is packed in panels of 16 outputs, one cache line for each input, whatever the level; the last panel is
// filled up with zeros:
//
//                 outputs 0..15                              outputs 16..31
//   packed:  | input 0 | input 1 | ... | input k-1 |  | input 0 | ... | input k-1 |  ...
//              16 floats
//
// A tile is a few rows of x by one or two panels; its sums stay in registers while it walks over the inputs.
// A batch is cut into tiles of equal height, as a tile of few rows reads as many weights as one of many. Few
// rows wait for one another's sums, so each sum is kept in several parts, of every second or fourth input.
//
// One tile's rows go through all weights in one linear walk. More rows are blocked, so that a piece of a
// panel stays in the first-level cache while all rows pass by, and their piece of x in the second:
//
//   for blocks of BLOCK_OUTPUTS outputs, for blocks of BLOCK_INPUTS inputs, for panels, for tiles
//
// Sums rest in y between blocks of inputs. After Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", ACM TOMS 34 (2008).

#define PANEL 16
#define PANEL_VECTORS (PANEL / WIDTH)
#define MOST_VECTORS (MOST_PANELS * PANEL_VECTORS)
#define MOST_PARTS 4
#define BLOCK_INPUTS 1024
#define BLOCK_OUTPUTS 64
/// Weights that are fetched ahead: with few rows they come from memory, with more from the
/// second-level cache.
#define AHEAD 512

/// What tiles of one product share, and where a tile's piece of the inputs stands among all.
struct tile {
  ptrdiff_t inputs;
  const float *x;
  ptrdiff_t x_stride;
  const void *packed;
  /// Weights from one panel to the next.
  ptrdiff_t panel_stride;
  /// Of the tile's outputs; null for none.
  const float *bias;
  float *y;
  ptrdiff_t y_stride;
  bool is_first, is_last;
  apus_activation activation;
  float alpha, beta;
  /// What is fetched ahead meanwhile: so many bytes for each input from there on.
  const char *ahead;
  ptrdiff_t ahead_step;
};

/// A vector of packed weights from the one of this index on.
INLINE vf weights_at(const enum weight_format format, const void *packed, ptrdiff_t index) {
  switch (format) {
  case weights_of_float16: return load_float16((const uint16_t *)packed + index);
  case weights_of_bfloat16: return load_bfloat16((const uint16_t *)packed + index);
  default: return load((const float *)packed + index);
  }
}

INLINE ptrdiff_t weight_bytes(const enum weight_format format, ptrdiff_t count) {
  return count * (ptrdiff_t)(format == weights_of_float32 ? sizeof(float) : sizeof(uint16_t));
}

INLINE const void *weights_from(const enum weight_format format, const void *packed, ptrdiff_t index) {
  return (const char *)packed + weight_bytes(format, index);
}

/// Applies what is quickest while sums are in registers.
INLINE void activate(vf *sums, int count, apus_activation activation, float alpha, float beta) {
  switch (activation) {
  case apus_activation_relu:
#pragma clang loop unroll(full)
    for (int i = 0; i < count; i++) sums[i] = greater(splat(0), sums[i]);
    break;
  case apus_activation_clip:
#pragma clang loop unroll(full)
    for (int i = 0; i < count; i++) sums[i] = lesser(splat(beta), greater(splat(alpha), sums[i]));
    break;
  case apus_activation_leaky:
#pragma clang loop unroll(full)
    for (int i = 0; i < count; i++) sums[i] = sums[i] < splat(0) ? sums[i] * alpha : sums[i];
    break;
  default: break;
  }
}

/// One tile of constant shape: `rows` by `panels`, each sum in `parts` parts.
INLINE void compute_tile(
  const int rows, const int panels, const int parts, const enum weight_format format, const struct tile *t) {
  const int vectors = panels * PANEL_VECTORS;
  vf sums[MOST_PARTS][MOST_ROWS][MOST_VECTORS];
  const float *x = t->x;
  const void *w = t->packed;
  ptrdiff_t x_stride = t->x_stride, y_stride = t->y_stride, panel_stride = t->panel_stride;
  const char *ahead = t->ahead;
  ptrdiff_t ahead_step = t->ahead_step;
  ptrdiff_t ahead_next = weight_bytes(format, panel_stride);
#pragma clang loop unroll(full)
  for (int part = 0; part < parts; part++)
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sums[part][row][v] = splat(0);

  ptrdiff_t k = 0, inputs = t->inputs;
  for (; k + parts <= inputs; k += parts) {
#pragma clang loop unroll(full)
    for (int part = 0; part < parts; part++) {
#pragma clang loop unroll(full)
      for (int panel = 0; panel < panels; panel++) __builtin_prefetch(ahead + panel * ahead_next);
      ahead += ahead_step;
      vf weights[MOST_VECTORS];
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++)
        weights[v] = weights_at(
          format, w, v / PANEL_VECTORS * panel_stride + (k + part) * PANEL + v % PANEL_VECTORS * WIDTH);
#pragma clang loop unroll(full)
      for (int row = 0; row < rows; row++) {
        vf value = splat(x[row * x_stride + k + part]);
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++)
          sums[part][row][v] = fma_(value, weights[v], sums[part][row][v]);
      }
    }
  }
  if (parts > 1)
    for (; k < inputs; k++) {
#pragma clang loop unroll(full)
      for (int row = 0; row < rows; row++) {
        vf value = splat(x[row * x_stride + k]);
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
          vf weights =
            weights_at(format, w, v / PANEL_VECTORS * panel_stride + k * PANEL + v % PANEL_VECTORS * WIDTH);
          sums[0][row][v] = fma_(value, weights, sums[0][row][v]);
        }
      }
    }
#pragma clang loop unroll(full)
  for (int step = parts / 2; step > 0; step /= 2)
#pragma clang loop unroll(full)
    for (int part = 0; part < step; part++)
#pragma clang loop unroll(full)
      for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) sums[part][row][v] += sums[part + step][row][v];

  float *y = t->y;
  if (!t->is_first)
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sums[0][row][v] += load(y + row * y_stride + v * WIDTH);
  if (t->is_last) {
    if (t->bias)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) {
        vf bias = load(t->bias + v * WIDTH);
#pragma clang loop unroll(full)
        for (int row = 0; row < rows; row++) sums[0][row][v] += bias;
      }
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++) activate(sums[0][row], vectors, t->activation, t->alpha, t->beta);
  }
#pragma clang loop unroll(full)
  for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) store(y + row * y_stride + v * WIDTH, sums[0][row][v]);
}

#define PARTS(rows) ((rows) == 1 ? 4 : (rows) <= 3 ? 2 : 1)
#define TILE(rows, panels, name, format) \
  static void tile_##rows##_##panels##_##name(const struct tile *t) { \
    compute_tile(rows, panels, PARTS(rows), format, t); \
  }
#define TILES(rows, panels) \
  TILE(rows, panels, float32, weights_of_float32) \
  TILE(rows, panels, float16, weights_of_float16) \
  TILE(rows, panels, bfloat16, weights_of_bfloat16)

TILES(1, 1) TILES(2, 1) TILES(3, 1)
#if MOST_ROWS > 3
TILES(4, 1) TILES(5, 1) TILES(6, 1)
#endif
#if MOST_ROWS > 6
TILES(7, 1) TILES(8, 1) TILES(9, 1) TILES(10, 1) TILES(11, 1) TILES(12, 1)
#endif
#if MOST_PANELS > 1
TILES(1, 2) TILES(2, 2) TILES(3, 2) TILES(4, 2) TILES(5, 2) TILES(6, 2)
TILES(7, 2) TILES(8, 2) TILES(9, 2) TILES(10, 2) TILES(11, 2) TILES(12, 2)
#endif

#define UP_TO_3(panels, name) tile_1_##panels##_##name, tile_2_##panels##_##name, tile_3_##panels##_##name
#define UP_TO_6(panels, name) \
  UP_TO_3(panels, name), tile_4_##panels##_##name, tile_5_##panels##_##name, tile_6_##panels##_##name
#define UP_TO_12(panels, name) \
  UP_TO_6(panels, name), tile_7_##panels##_##name, tile_8_##panels##_##name, tile_9_##panels##_##name, \
    tile_10_##panels##_##name, tile_11_##panels##_##name, tile_12_##panels##_##name
#if MOST_ROWS == 3
#define UP_TO_MOST UP_TO_3
#elif MOST_ROWS == 6
#define UP_TO_MOST UP_TO_6
#else
#define UP_TO_MOST UP_TO_12
#endif
#if MOST_PANELS == 1
#define ALL_TILES(name) {{UP_TO_MOST(1, name)}}
#else
#define ALL_TILES(name) {{UP_TO_MOST(1, name)}, {UP_TO_MOST(2, name)}}
#endif

typedef void tile_function(const struct tile *);
static tile_function *const tiles[weight_formats][MOST_PANELS][MOST_ROWS] = {
  ALL_TILES(float32), ALL_TILES(float16), ALL_TILES(bfloat16)};

/// A tile of which only `columns` outputs exist: it is computed beside y.
static void ragged_tile(
  tile_function *tile, const struct tile *whole, int rows, int panels, ptrdiff_t columns) {
  float y[MOST_ROWS * MOST_PANELS * PANEL], bias[MOST_PANELS * PANEL];
  const ptrdiff_t width = panels * PANEL;
  struct tile t = *whole;
  t.y = y;
  t.y_stride = width;
  if (t.bias) {
    memset(bias, 0, sizeof bias);
    memcpy(bias, t.bias, (size_t)columns * sizeof(float));
    t.bias = bias;
  }
  if (!t.is_first) {
    memset(y, 0, sizeof y);
    for (int row = 0; row < rows; row++)
      memcpy(y + row * width, whole->y + row * whole->y_stride, (size_t)columns * sizeof(float));
  }
  tile(&t);
  for (int row = 0; row < rows; row++)
    memcpy(whole->y + row * whole->y_stride, y + row * width, (size_t)columns * sizeof(float));
}

/// Rows by one or two panels; activations that are functions of their own are applied while the tile is in
/// cache.
INLINE void any_tile(
  enum weight_format format, const struct tile *t, int rows, int panels, ptrdiff_t columns) {
  tile_function *tile = tiles[format][panels - 1][rows - 1];
  if (columns == panels * PANEL) {
    tile(t);
  } else {
    ragged_tile(tile, t, rows, panels, columns);
  }
  if (t->is_last && t->activation >= apus_activation_sigmoid)
    for (int row = 0; row < rows; row++) activate_row(t->activation, columns, t->y + row * t->y_stride);
}

/// All tiles of some rows and one or two panels: as few as can be, their heights as equal as can be.
INLINE void all_rows(struct tile *t, const struct linear *l, ptrdiff_t first_input, ptrdiff_t first_output) {
  const ptrdiff_t columns = least(l->outputs - first_output, MOST_PANELS * PANEL);
  const int panels = (int)((columns + PANEL - 1) / PANEL);
  const ptrdiff_t count = (l->rows + MOST_ROWS - 1) / MOST_ROWS;
  const ptrdiff_t height = l->rows / count, higher = l->rows % count;
  t->x = l->x + first_input;
  t->packed = weights_from(l->format, l->packed, first_output * l->inputs + first_input * PANEL);
  t->bias = l->bias ? l->bias + first_output : 0;
  t->y = l->y + first_output;
  // One tile fetches its own weights ahead; of several, each fetches a part of the next panels.
  t->ahead_step = weight_bytes(l->format, PANEL) / count;
  t->ahead = weights_from(l->format, t->packed, count == 1 ? AHEAD : panels * t->panel_stride);
  for (ptrdiff_t tile = 0; tile < count; tile++) {
    int rows = (int)(height + (tile < higher));
    any_tile(l->format, t, rows, panels, columns);
    t->x += rows * t->x_stride;
    t->y += rows * t->y_stride;
    t->ahead += t->ahead_step * t->inputs;
  }
}

static void linear(const struct linear *l) {
  if (l->rows <= 0) return;
  struct tile t = {
    .x_stride = l->x_stride,
    .panel_stride = l->inputs * PANEL,
    .y_stride = l->y_stride,
    .activation = l->activation,
    .alpha = l->alpha,
    .beta = l->beta,
  };
  const bool is_blocked = l->rows > MOST_ROWS && l->inputs > BLOCK_INPUTS;
  const ptrdiff_t blocks = is_blocked ? (l->inputs + BLOCK_INPUTS - 1) / BLOCK_INPUTS : 1;
  const ptrdiff_t block_inputs = (l->inputs + blocks - 1) / blocks;
  const ptrdiff_t block_outputs = is_blocked ? BLOCK_OUTPUTS : l->outputs;
  for (ptrdiff_t block_start = 0; block_start < l->outputs; block_start += block_outputs) {
    const ptrdiff_t block_end = least(l->outputs, block_start + block_outputs);
    for (ptrdiff_t block = 0; block < blocks; block++) {
      const ptrdiff_t input = block * block_inputs;
      t.inputs = least(block_inputs, l->inputs - input);
      t.is_first = block == 0;
      t.is_last = block == blocks - 1;
      for (ptrdiff_t output = block_start; output < block_end; output += MOST_PANELS * PANEL)
        all_rows(&t, l, input, output);
    }
  }
}
