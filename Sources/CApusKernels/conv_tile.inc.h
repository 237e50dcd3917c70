// Tiles of a convolution's sums: a few outputs by a few vectors of places, which stay in registers while the
// tile walks over its inputs. For each input, a vector of each place is read, and the weight of each output
// is multiplied with all of them.
//
// Vectors come from panels, where columns of inputs are laid out (`conv_columns.inc.h`), or from the prepared
// image itself, by the offset that each input has.

/// Rows of a tile: where there are 16 registers and a vector is a quarter of a panel, half of a six.
#if MOST_ROWS < CONV_GROUP
#define CONV_ROWS 3
#else
#define CONV_ROWS CONV_GROUP
#endif
/// Vectors of a tile of columns: one panel, or as many as 32 registers hold sums of.
#if MOST_PANELS > 1
#define CONV_VECTORS 4
#else
#define CONV_VECTORS PANEL_VECTORS
#endif
/// Vectors of a tile that reads an image: as many as keep sums from waiting for one another.
#define MOST_DIRECT 8
#if MOST_PANELS > 1
#define DIRECT_VECTORS(rows) ((rows) <= 2 ? 8 : 4)
#else
#define DIRECT_VECTORS(rows) ((rows) == 1 ? 8 : (rows) <= 3 ? 4 : 2)
#endif

/// Floats that weights are fetched ahead: the first panel that they pass by finds them in memory. The next
/// tile's weights follow this one's.
#define WEIGHTS_AHEAD 1024

/// What is computed of a tile, and where that goes.
struct conv_tile {
  ptrdiff_t inputs;
  /// One for each row, `weight_step` floats for each input.
  const float *weights;
  ptrdiff_t weight_step;

  /// Panels, `panel_step` floats from one to the next.
  const float *columns;
  ptrdiff_t panel_step;
  /// Or the place of each vector's first input, and what is added for the others.
  const float *starts[MOST_DIRECT];
  const int32_t *offsets;
  /// Where those vectors lie in y, and how many floats of them are of use.
  ptrdiff_t targets[MOST_DIRECT];
  ptrdiff_t counts[MOST_DIRECT];

  const float *bias, *addend;
  float *y;
  ptrdiff_t y_step;
  bool is_first, is_last;
  apus_activation activation;
  float alpha, beta;
};

/// Adds the products of one input to sums.
INLINE void add_input(
  const int rows, const int vectors, const float *const *values, const float *weights,
  vf sums[CONV_GROUP][MOST_DIRECT]) {
  vf columns[MOST_DIRECT];
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; v++) columns[v] = load(values[v]);
#pragma clang loop unroll(full)
  for (int row = 0; row < rows; row++) {
    const vf weight = splat(weights[row]);
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[row][v] = fma_(columns[v], weight, sums[row][v]);
  }
}

/// Where the vectors of an input lie.
INLINE void find_values(
  const int vectors, const bool is_direct, const struct conv_tile *t, ptrdiff_t input, const float **values) {
  const ptrdiff_t offset = is_direct ? t->offsets[input] : 0;
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; v++)
    values[v] = is_direct
      ? t->starts[v] + offset
      : t->columns + v / PANEL_VECTORS * t->panel_step + input * PANEL + v % PANEL_VECTORS * WIDTH;
}

/// Adds the products of all inputs to sums. Few sums would wait for themselves: each is kept in two parts.
INLINE void add_tap_products(
  const int rows, const int vectors, const bool is_direct, const struct conv_tile *whole,
  vf sums[CONV_GROUP][MOST_DIRECT]) {
  // A copy, whose fields stay in registers.
  const struct conv_tile t = *whole;
  const bool is_in_parts = rows * vectors < 8;
  const float *values[MOST_DIRECT], *weights = t.weights;
  vf parts[CONV_GROUP][MOST_DIRECT];
#pragma clang loop unroll(full)
  for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) parts[row][v] = splat(0);
  ptrdiff_t k = 0;
  for (; is_in_parts && k + 2 <= t.inputs; k += 2, weights += 2 * t.weight_step) {
    __builtin_prefetch(weights + WEIGHTS_AHEAD);
    find_values(vectors, is_direct, &t, k, values);
    add_input(rows, vectors, values, weights, sums);
    find_values(vectors, is_direct, &t, k + 1, values);
    add_input(rows, vectors, values, weights + t.weight_step, parts);
  }
  for (; k < t.inputs; k++, weights += t.weight_step) {
    __builtin_prefetch(weights + WEIGHTS_AHEAD);
    find_values(vectors, is_direct, &t, k, values);
    add_input(rows, vectors, values, weights, sums);
  }
#pragma clang loop unroll(full)
  for (int row = 0; is_in_parts && row < rows; row++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[row][v] += parts[row][v];
}

/// A tile of constant shape over panels: vectors lie side by side in y.
INLINE void panel_tile(const int rows, const int vectors, const struct conv_tile *t) {
  vf sums[CONV_GROUP][MOST_DIRECT];
#pragma clang loop unroll(full)
  for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++)
      sums[row][v] =
        t->is_first ? splat(t->bias ? t->bias[row] : 0) : load(t->y + row * t->y_step + v * WIDTH);
  if (t->is_last && t->addend)
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++) __builtin_prefetch(t->addend + row * t->y_step);
  add_tap_products(rows, vectors, false, t, sums);
#pragma clang loop unroll(full)
  for (int row = 0; row < rows; row++) {
    if (t->is_last) {
      if (t->addend)
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) sums[row][v] += load(t->addend + row * t->y_step + v * WIDTH);
      activate(sums[row], vectors, t->activation, t->alpha, t->beta);
    }
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) store(t->y + row * t->y_step + v * WIDTH, sums[row][v]);
  }
}

/// Most columns for which the outputs of a six lie in a vector instead, and parts that each sum is kept in.
#define MOST_NARROW 4
#define NARROW_PARTS(columns) (8 / (columns) > 4 ? 8 : 8 / (columns) > 2 ? 4 : 2)

#if CONV_ROWS > 4
#define NARROW_WIDTH 8
#else
#define NARROW_WIDTH 4
#endif
/// The weights of a six, and some of the next input's or of nothing, which come to no use.
typedef float vn __attribute__((ext_vector_type(NARROW_WIDTH)));
typedef float vn_unaligned __attribute__((ext_vector_type(NARROW_WIDTH), aligned(4), may_alias));

/// The products of `columns` columns, all of whose inputs are added at once.
INLINE void add_narrow_products(const int columns, const struct conv_tile *t, vn sums[MOST_NARROW]) {
  const int parts = NARROW_PARTS(columns);
  const ptrdiff_t inputs = t->inputs, step = t->weight_step;
  const float *weights = t->weights, *values = t->columns;
  vn all[8][MOST_NARROW];
#pragma clang loop unroll(full)
  for (int i = 0; i < parts * columns; i++) all[i / columns][i % columns] = (vn)0.0f;
  ptrdiff_t k = 0;
  for (; k + parts <= inputs; k += parts) {
#pragma clang loop unroll(full)
    for (int part = 0; part < parts; part++, weights += step, values += PANEL) {
      __builtin_prefetch(weights + WEIGHTS_AHEAD);
      const vn weight = *(const vn_unaligned *)weights;
#pragma clang loop unroll(full)
      for (int i = 0; i < columns; i++) all[part][i] += weight * values[i];
    }
  }
  for (; k < inputs; k++, weights += step, values += PANEL)
#pragma clang loop unroll(full)
    for (int i = 0; i < columns; i++) all[0][i] += *(const vn_unaligned *)weights * values[i];
#pragma clang loop unroll(full)
  for (int i = 0; i < columns; i++) {
    sums[i] = all[0][i];
#pragma clang loop unroll(full)
    for (int part = 1; part < parts; part++) sums[i] += all[part][i];
  }
}

/// A tile over the first few columns of a panel, for as many outputs as a six has.
INLINE void narrow_tile(const int columns, int rows, const struct conv_tile *t) {
  vn sums[MOST_NARROW];
  add_narrow_products(columns, t, sums);
  for (int row = 0; row < rows; row++) {
    const ptrdiff_t place = row * t->y_step;
    float line[WIDTH] = {0};
#pragma clang loop unroll(full)
    for (int i = 0; i < columns; i++) {
      line[i] = sums[i][row] + (!t->is_first ? t->y[place + i] : t->bias ? t->bias[row] : 0);
      if (t->is_last && t->addend) line[i] += t->addend[place + i];
    }
    if (t->is_last && t->activation != apus_activation_none) {
      vf activated = load(line);
      activate(&activated, 1, t->activation, t->alpha, t->beta);
      store(line, activated);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < columns; i++) t->y[place + i] = line[i];
  }
}

/// A tile of constant shape over an image: vectors lie anywhere in y, and may be cut off.
INLINE void direct_tile(const int rows, const int vectors, const struct conv_tile *t) {
  vf sums[CONV_GROUP][MOST_DIRECT];
#pragma clang loop unroll(full)
  for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[row][v] = splat(t->bias ? t->bias[row] : 0);
  add_tap_products(rows, vectors, true, t, sums);
#pragma clang loop unroll(full)
  for (int row = 0; row < rows; row++) {
    if (t->addend)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) {
        const float *addend = t->addend + row * t->y_step + t->targets[v];
        sums[row][v] += t->counts[v] == WIDTH ? load(addend) : load_some(addend, t->counts[v]);
      }
    activate(sums[row], vectors, t->activation, t->alpha, t->beta);
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      float *y = t->y + row * t->y_step + t->targets[v];
      if (t->counts[v] == WIDTH) {
        store(y, sums[row][v]);
      } else {
        store_some(y, sums[row][v], t->counts[v]);
      }
    }
  }
}

typedef void conv_tile_function(const struct conv_tile *);

#define PANEL_TILE(rows, vectors) \
  static void panel_tile_##rows##_##vectors(const struct conv_tile *t) { panel_tile(rows, vectors, t); }
#define DIRECT_TILE(rows) \
  static void direct_tile_##rows(const struct conv_tile *t) { direct_tile(rows, DIRECT_VECTORS(rows), t); }
#if CONV_VECTORS > 2
#define PANEL_TILES(rows) PANEL_TILE(rows, 1) PANEL_TILE(rows, 2) PANEL_TILE(rows, 3) PANEL_TILE(rows, 4)
#define PANEL_NAMES(rows) \
  { panel_tile_##rows##_1, panel_tile_##rows##_2, panel_tile_##rows##_3, panel_tile_##rows##_4 }
#else
#define PANEL_TILES(rows) PANEL_TILE(rows, 1) PANEL_TILE(rows, 2)
#define PANEL_NAMES(rows) \
  { panel_tile_##rows##_1, panel_tile_##rows##_2 }
#endif

PANEL_TILES(1) PANEL_TILES(2) PANEL_TILES(3)
DIRECT_TILE(1) DIRECT_TILE(2) DIRECT_TILE(3)
#if CONV_ROWS > 3
PANEL_TILES(4) PANEL_TILES(5) PANEL_TILES(6)
DIRECT_TILE(4) DIRECT_TILE(5) DIRECT_TILE(6)
#endif

static conv_tile_function *const panel_tiles[CONV_ROWS][CONV_VECTORS] = {
  PANEL_NAMES(1), PANEL_NAMES(2), PANEL_NAMES(3),
#if CONV_ROWS > 3
  PANEL_NAMES(4), PANEL_NAMES(5), PANEL_NAMES(6),
#endif
};

static conv_tile_function *const direct_tiles[CONV_ROWS] = {
  direct_tile_1, direct_tile_2, direct_tile_3,
#if CONV_ROWS > 3
  direct_tile_4, direct_tile_5, direct_tile_6,
#endif
};

static void narrow_tile_1(int rows, const struct conv_tile *t) { narrow_tile(1, rows, t); }
static void narrow_tile_2(int rows, const struct conv_tile *t) { narrow_tile(2, rows, t); }
static void narrow_tile_3(int rows, const struct conv_tile *t) { narrow_tile(3, rows, t); }
static void narrow_tile_4(int rows, const struct conv_tile *t) { narrow_tile(4, rows, t); }

/// By columns.
static void (*const narrow_tiles[MOST_NARROW])(int rows, const struct conv_tile *) = {
  narrow_tile_1, narrow_tile_2, narrow_tile_3, narrow_tile_4};
