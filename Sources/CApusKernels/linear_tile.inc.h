// A tile of y = activation(x Wᵀ + b) over packed weights.
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

#define PANEL 16
#define PANEL_VECTORS (PANEL / WIDTH)
#define MOST_VECTORS (MOST_PANELS * PANEL_VECTORS)
#define MOST_PARTS 4
/// Panels that one row of x takes at a time where they are to be had: a walk over one alone is over before it
/// is at full speed.
#define WIDE_PANELS 4
/// Weights that are fetched ahead: with few rows they come from memory, with more from the
/// second-level cache.
#define AHEAD 512

/// How a tile's rows of x lie: a stride apart, or packed, those of each input side by side.
enum row_layout { rows_are_apart, rows_are_packed, row_layouts };

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
  const int rows, const int panels, const int parts, const enum weight_format format,
  const enum row_layout layout, const struct tile *t) {
  const int vectors = panels * PANEL_VECTORS;
  vf sums[MOST_PARTS][MOST_ROWS][WIDE_PANELS * PANEL_VECTORS];
  const float *x = t->x;
  const void *w = t->packed;
  const ptrdiff_t x_stride = layout == rows_are_packed ? 1 : t->x_stride;
  const ptrdiff_t x_step = layout == rows_are_packed ? rows : 1;
  ptrdiff_t y_stride = t->y_stride, panel_stride = t->panel_stride;
  const char *ahead = t->ahead;
  ptrdiff_t ahead_step = t->ahead_step;
  ptrdiff_t ahead_next = weight_bytes(format, panel_stride);
#pragma clang loop unroll(full)
  for (int part = 0; part < parts; part++)
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sums[part][row][v] = splat(0);

#pragma clang loop unroll(full)
  for (int row = 0; row < rows; row++) __builtin_prefetch(t->y + row * y_stride, 1);

  ptrdiff_t k = 0, inputs = t->inputs;
  for (; k + parts <= inputs; k += parts) {
#pragma clang loop unroll(full)
    for (int part = 0; part < parts; part++) {
#pragma clang loop unroll(full)
      for (int panel = 0; panel < panels; panel++) __builtin_prefetch(ahead + panel * ahead_next);
      ahead += ahead_step;
      vf weights[WIDE_PANELS * PANEL_VECTORS];
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++)
        weights[v] = weights_at(
          format, w, v / PANEL_VECTORS * panel_stride + (k + part) * PANEL + v % PANEL_VECTORS * WIDTH);
#pragma clang loop unroll(full)
      for (int row = 0; row < rows; row++) {
        vf value = splat(x[row * x_stride + (k + part) * x_step]);
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
        vf value = splat(x[row * x_stride + k * x_step]);
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
#define TILE(rows, panels, format, layout) \
  static void tile_##rows##_##panels##_##format##_##layout(const struct tile *t) { \
    compute_tile(rows, panels, PARTS(rows), weights_of_##format, rows_are_##layout, t); \
  }
#define NAME(rows, panels, format, layout) tile_##rows##_##panels##_##format##_##layout,

#define HEIGHTS_TO_3(F, ...) F(1, __VA_ARGS__) F(2, __VA_ARGS__) F(3, __VA_ARGS__)
#define HEIGHTS_TO_6(F, ...) \
  HEIGHTS_TO_3(F, __VA_ARGS__) F(4, __VA_ARGS__) F(5, __VA_ARGS__) F(6, __VA_ARGS__)
#define HEIGHTS_TO_12(F, ...) \
  HEIGHTS_TO_6(F, __VA_ARGS__) F(7, __VA_ARGS__) F(8, __VA_ARGS__) F(9, __VA_ARGS__) \
  F(10, __VA_ARGS__) F(11, __VA_ARGS__) F(12, __VA_ARGS__)
#if MOST_ROWS == 3
#define HEIGHTS HEIGHTS_TO_3
#elif MOST_ROWS == 6
#define HEIGHTS HEIGHTS_TO_6
#else
#define HEIGHTS HEIGHTS_TO_12
#endif

#if MOST_PANELS == 1
#define TILES(...) HEIGHTS(TILE, 1, __VA_ARGS__)
#define NAMES(...) {{HEIGHTS(NAME, 1, __VA_ARGS__)}}
#else
#define TILES(...) HEIGHTS(TILE, 1, __VA_ARGS__) HEIGHTS(TILE, 2, __VA_ARGS__)
#define NAMES(...) {{HEIGHTS(NAME, 1, __VA_ARGS__)}, {HEIGHTS(NAME, 2, __VA_ARGS__)}}
#endif

TILES(float32, apart) TILES(float16, apart) TILES(bfloat16, apart)
TILES(float32, packed) TILES(float16, packed) TILES(bfloat16, packed)

typedef void tile_function(const struct tile *);
static tile_function *const tiles[row_layouts][weight_formats][MOST_PANELS][MOST_ROWS] = {
  {NAMES(float32, apart), NAMES(float16, apart), NAMES(bfloat16, apart)},
  {NAMES(float32, packed), NAMES(float16, packed), NAMES(bfloat16, packed)},
};

// With 16 registers and vectors of half a panel, sums of four panels leave room for the rest.
#if WIDTH == 8
#define WIDE_TILE(format) \
  static void wide_tile_##format(const struct tile *t) { \
    compute_tile(1, WIDE_PANELS, 1, weights_of_##format, rows_are_apart, t); \
  }
WIDE_TILE(float32) WIDE_TILE(float16) WIDE_TILE(bfloat16)

static tile_function *const wide_tiles[weight_formats] = {
  wide_tile_float32, wide_tile_float16, wide_tile_bfloat16};
#endif

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
  enum weight_format format, enum row_layout layout, const struct tile *t, int rows, int panels,
  ptrdiff_t columns) {
  tile_function *tile = tiles[layout][format][panels - 1][rows - 1];
  if (columns == panels * PANEL) {
    tile(t);
  } else {
    ragged_tile(tile, t, rows, panels, columns);
  }
  if (t->is_last && t->activation >= apus_activation_sigmoid)
    for (int row = 0; row < rows; row++) activate_row(t->activation, columns, t->y + row * t->y_stride);
}
