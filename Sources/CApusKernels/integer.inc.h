// Products of 8-bit numbers. Weights are packed in panels of 16 outputs, four inputs at a time, a cache line
// each; the last panel and the last four inputs are filled up with zeros:
//
//   packed:  | Σ w of each output, int32, whole panels | panel | panel | ...
//   panel:   | output 0: inputs 0..3 | output 1: inputs 0..3 | ... | output 0: inputs 4..7 | ...
//
// x is made uint8 by adding 128 where it is int8, and its zero point with it. All that zero points change is
// added to the sums at the end: Σ (x - a)(w - b) = Σ x w - a Σ w - b (Σ x - k a).
//
// With dot products of bytes (VNNI, DOTS) a lane of a sum is an output. Without them bytes are widened to 16
// bits, so that products of pairs are exact (those of `vpmaddubsw` would saturate), and two lanes are an
// output.

#ifndef DOTS
#define DOTS 0
#endif
#define GROUP 16

typedef int16_t vs __attribute__((ext_vector_type(2 * WIDTH)));
typedef int8_t vb_unaligned __attribute__((ext_vector_type(2 * WIDTH), aligned(1), may_alias));
typedef int32_t vi_unaligned __attribute__((ext_vector_type(WIDTH), aligned(1), may_alias));
typedef int64_t vl __attribute__((ext_vector_type(WIDTH / 2)));

INLINE vi load_integers(const void *p) { return *(const vi_unaligned *)p; }
INLINE void store_integers(int32_t *p, vi v) { *(vi_unaligned *)p = v; }

#if DOTS
/// Lanes of sums of a panel.
#define PANEL_LANES GROUP
typedef uint8_t operand;

/// Adds to each lane the products of its four bytes: of x unsigned, of w signed.
INLINE vi dot(vi sum, vi x, vi w) {
#ifdef DOT
  return DOT(sum, x, w);
#else
#pragma clang loop unroll(full)
  for (int byte = 0; byte < 4; byte++) {
    vi signed_w = (vi)((vu)w << (24 - 8 * byte)) >> 24;
    sum += (vi)((vu)x >> (8 * byte) & 255) * signed_w;
  }
  return sum;
#endif
}

INLINE vi four_inputs(const operand *x) {
  int32_t four;
  memcpy(&four, x, sizeof four);
  return (vi)four;
}

typedef vi four_weights;
INLINE vi load_weights(const int8_t *w, int v) { return load_integers(w + v * 4 * WIDTH); }
INLINE vi add_products(vi sum, vi x, vi w) { return dot(sum, x, w); }
#else
#define PANEL_LANES (2 * GROUP)
typedef int16_t operand;

/// Sums of products of neighbours.
INLINE vi pairs(vs a, vs b) {
#if WIDTH == 8
  return (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif WIDTH == 16 && defined(__x86_64__) && !defined(NARROW_REGISTERS)
  return (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif WIDTH == 4 && defined(__SSE2__)
  return (vi)__builtin_ia32_pmaddwd128((short __attribute__((vector_size(16))))a,
                                       (short __attribute__((vector_size(16))))b);
#else
  return __builtin_convertvector(a.even, vi) * __builtin_convertvector(b.even, vi) +
         __builtin_convertvector(a.odd, vi) * __builtin_convertvector(b.odd, vi);
#endif
}

INLINE vs four_inputs(const operand *x) {
  int64_t four;
  memcpy(&four, x, sizeof four);
  return (vs)(vl)four;
}

typedef vs four_weights;
INLINE vs load_weights(const int8_t *w, int v) {
  return __builtin_convertvector(*(const vb_unaligned *)(w + v * 2 * WIDTH), vs);
}
INLINE vi add_products(vi sum, vs x, vs w) { return sum + pairs(x, w); }
#endif

#define GROUP_VECTORS (PANEL_LANES / WIDTH)
/// As many rows as leave registers for weights and an input, and vectors of sums for each row: few rows take
/// a panel at once, more a part of it after the other.
#if WIDTH == 16
#define GROUP_ROWS 12
#else
#define GROUP_ROWS 6
#endif
#define TILE_VECTORS(rows) ((rows) <= 2 || GROUP_VECTORS < 2 ? GROUP_VECTORS : 2)

/// What tiles of one product share.
struct integer_tile {
  const operand *x;
  ptrdiff_t fours;
  const int8_t *panel;
  int32_t minus_x_zero;
  /// Of the panel's outputs.
  const int32_t *weight_sums;
  /// Null for none; with it, for each row, minus what zero points of weights are multiplied by.
  const int32_t *w_zeros;
  const int32_t *minus_x_sums;
  int32_t *y;
  ptrdiff_t y_stride;
};

/// Sums of outputs in order, of lanes of a panel.
INLINE vi in_order(const vi *sums, int v) {
#if DOTS
  return sums[v];
#else
  const vi a = sums[2 * v], b = sums[2 * v + 1];
#if WIDTH == 4
  return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
#elif WIDTH == 8
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
         __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
         __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#endif
#endif
}

/// Some vectors of sums of a panel, from the vector `first` on.
INLINE void integer_sums(
  const int rows, const int parts, const int vectors, int first, const struct integer_tile *t) {
  vi sums[4][GROUP_ROWS][GROUP_VECTORS];
  const operand *x = t->x;
  const int8_t *w = t->panel + first * 64 / GROUP_VECTORS;
  const ptrdiff_t fours = t->fours;
#pragma clang loop unroll(full)
  for (int part = 0; part < parts; part++)
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sums[part][row][v] = (vi)0;
  for (ptrdiff_t four = 0; four < fours; four += parts) {
#pragma clang loop unroll(full)
    for (int part = 0; part < parts; part++) {
      if (part > 0 && four + part >= fours) break;
      four_weights weights[GROUP_VECTORS];
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) weights[v] = load_weights(w + 64 * (four + part), v);
#pragma clang loop unroll(full)
      for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++)
          sums[part][row][v] = add_products(
            sums[part][row][v], four_inputs(x + 4 * (row * fours + four + part)), weights[v]);
    }
  }
#pragma clang loop unroll(full)
  for (int part = 1; part < parts; part++)
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sums[0][row][v] += sums[part][row][v];
  const int lanes_of_output = PANEL_LANES / GROUP, output = first * WIDTH / lanes_of_output;
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors / lanes_of_output; v++) {
    const ptrdiff_t place = output + v * WIDTH;
    const vi moved = load_integers(t->weight_sums + place) * (vi)t->minus_x_zero;
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++) {
      vi sum = in_order(sums[0][row], v) + moved;
      if (t->w_zeros) sum += load_integers(t->w_zeros + place) * (vi)t->minus_x_sums[row];
      store_integers(t->y + row * t->y_stride + place, sum);
    }
  }
}

INLINE void integer_tile(const int rows, const int parts, const struct integer_tile *t) {
  const int vectors = TILE_VECTORS(rows);
  for (int first = 0; first < GROUP_VECTORS; first += vectors) integer_sums(rows, parts, vectors, first, t);
}

/// A dot product's sum waits for the last one: with few rows it is kept in parts.
#define INTEGER_PARTS(rows) (DOTS && (rows) <= 2 ? 4 : 1)
#define INTEGER_TILE(rows) \
  static void integer_tile_##rows(const struct integer_tile *t) { \
    integer_tile(rows, INTEGER_PARTS(rows), t); \
  }

INTEGER_TILE(1) INTEGER_TILE(2) INTEGER_TILE(3) INTEGER_TILE(4) INTEGER_TILE(5) INTEGER_TILE(6)
#if GROUP_ROWS > 6
INTEGER_TILE(7) INTEGER_TILE(8) INTEGER_TILE(9) INTEGER_TILE(10) INTEGER_TILE(11) INTEGER_TILE(12)
#endif

static void (*const integer_tiles[GROUP_ROWS])(const struct integer_tile *) = {
  integer_tile_1, integer_tile_2, integer_tile_3, integer_tile_4, integer_tile_5, integer_tile_6,
#if GROUP_ROWS > 6
  integer_tile_7, integer_tile_8, integer_tile_9, integer_tile_10, integer_tile_11, integer_tile_12,
#endif
};

/// A panel of which only `columns` outputs exist: sums go through memory beside y.
static void ragged_integer_tile(const struct integer_tile *whole, int rows, ptrdiff_t columns) {
  int32_t y[GROUP_ROWS * GROUP], zeros[GROUP] = {0};
  struct integer_tile t = *whole;
  t.y = y;
  t.y_stride = GROUP;
  if (t.w_zeros) {
    memcpy(zeros, t.w_zeros, (size_t)columns * sizeof(int32_t));
    t.w_zeros = zeros;
  }
  integer_tiles[rows - 1](&t);
  for (int row = 0; row < rows; row++)
    memcpy(whole->y + row * whole->y_stride, y + row * GROUP, (size_t)columns * sizeof(int32_t));
}

/// Makes operands of x, each row filled up to whole fours, and where they are needed the sums of rows.
static void make_operands(const struct integer_product *p, operand *x, int32_t *minus_x_sums) {
  const ptrdiff_t inputs = p->inputs, padded = (inputs + 3) / 4 * 4;
  const uint8_t flip = p->is_signed ? 128 : 0;
  for (ptrdiff_t row = 0; row < p->rows; row++) {
    const uint8_t *restrict from = p->x + row * p->x_stride;
    operand *restrict to = x + row * padded;
    for (ptrdiff_t input = 0; input < inputs; input++) to[input] = from[input] ^ flip;
    for (ptrdiff_t input = inputs; input < padded; input++) to[input] = 0;
    if (p->w_zeros) {
      uint32_t sum = (uint32_t)inputs * (uint32_t)p->x_zero;
      for (ptrdiff_t input = 0; input < inputs; input++) sum -= (uint32_t)to[input];
      minus_x_sums[row] = (int32_t)sum;
    }
  }
}

static void integer_product(const struct integer_product *p) {
  if (p->rows <= 0) return;
  const ptrdiff_t fours = (p->inputs + 3) / 4, panels = (p->outputs + GROUP - 1) / GROUP;
  const ptrdiff_t tiles = (p->rows + GROUP_ROWS - 1) / GROUP_ROWS;
  const ptrdiff_t height = p->rows / tiles, higher = p->rows % tiles;
  int32_t *minus_x_sums = p->workspace;
  operand *x = (operand *)(minus_x_sums + (p->rows + 1) / 2 * 2);
  make_operands(p, x, minus_x_sums);
  const int32_t *weight_sums = (const int32_t *)(const void *)p->packed;
  const int8_t *panel = p->packed + panels * GROUP * 4;
  for (ptrdiff_t first = 0; first < p->outputs; first += GROUP, panel += fours * 64) {
    const ptrdiff_t columns = least(p->outputs - first, GROUP);
    struct integer_tile t = {
      .x = x,
      .fours = fours,
      .panel = panel,
      .minus_x_zero = (int32_t)-(uint32_t)p->x_zero,
      .weight_sums = weight_sums + first,
      .w_zeros = p->w_zeros ? p->w_zeros + first : 0,
      .minus_x_sums = minus_x_sums,
      .y = p->y + first,
      .y_stride = p->y_stride,
    };
    for (ptrdiff_t tile = 0; tile < tiles; tile++) {
      const int rows = (int)(height + (tile < higher));
      if (columns == GROUP) {
        integer_tiles[rows - 1](&t);
      } else {
        ragged_integer_tile(&t, rows, columns);
      }
      t.x += rows * fours * 4;
      t.minus_x_sums += rows;
      t.y += rows * t.y_stride;
    }
  }
}
