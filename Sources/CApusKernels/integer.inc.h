// Products of 8-bit numbers. Weights are packed in panels of 16 outputs, four inputs at a time, a cache line
// each; the last panel and the last four inputs are filled up with zeros:
//
//   packed:  | Σ w of each output, int32, whole panels | panel | panel | ...
//   panel:   | output 0: inputs 0..3 | output 1: inputs 0..3 | ... output 15 |  | output 0: inputs 4..7 | ...
//
// x is made uint8 by adding 128 where it is int8, and its zero point with it. All that zero points change is added
// to the sums at the end: Σ (x - a)(w - b) = Σ x w - a Σ w - b (Σ x - k a).
//
// With dot products of bytes (VNNI, DOTS) a lane of a sum is an output. Without them bytes are widened to 16 bits,
// so that products of pairs are exact (those of `vpmaddubsw` would saturate), and two lanes are an output.

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

INLINE vi add_products(vi sum, vi x, const int8_t *w, int v) {
  return dot(sum, x, load_integers(w + v * 4 * WIDTH));
}
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

INLINE vi add_products(vi sum, vs x, const int8_t *w, int v) {
  return sum + pairs(x, __builtin_convertvector(*(const vb_unaligned *)(w + v * 2 * WIDTH), vs));
}
#endif

#define GROUP_VECTORS (PANEL_LANES / WIDTH)
/// As many rows as leave registers for weights and inputs.
#if WIDTH == 4
#define GROUP_ROWS 1
#elif WIDTH == 8
#define GROUP_ROWS (DOTS ? 6 : 3)
#else
#define GROUP_ROWS (DOTS ? 12 : 8)
#endif

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

INLINE void store_sums(const struct integer_tile *t, int row, const vi *sums) {
  int32_t lanes[PANEL_LANES], *y = t->y + row * t->y_stride;
#pragma clang loop unroll(full)
  for (int v = 0; v < GROUP_VECTORS; v++) store_integers(lanes + v * WIDTH, sums[v]);
  // Overflow wraps.
  for (int output = 0; output < GROUP; output++) {
    uint32_t sum = DOTS ? (uint32_t)lanes[output] : (uint32_t)lanes[2 * output] + (uint32_t)lanes[2 * output + 1];
    sum += (uint32_t)t->minus_x_zero * (uint32_t)t->weight_sums[output];
    if (t->w_zeros) sum += (uint32_t)t->minus_x_sums[row] * (uint32_t)t->w_zeros[output];
    y[output] = (int32_t)sum;
  }
}

INLINE void integer_tile(const int rows, const int parts, const struct integer_tile *t) {
  vi sums[4][GROUP_ROWS][GROUP_VECTORS];
  const operand *x = t->x;
  const int8_t *w = t->panel;
  const ptrdiff_t fours = t->fours;
#pragma clang loop unroll(full)
  for (int part = 0; part < parts; part++)
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
      for (int v = 0; v < GROUP_VECTORS; v++) sums[part][row][v] = (vi)0;
  ptrdiff_t four = 0;
  for (; four + parts <= fours; four += parts) {
#pragma clang loop unroll(full)
    for (int part = 0; part < parts; part++)
#pragma clang loop unroll(full)
      for (int v = 0; v < GROUP_VECTORS; v++)
#pragma clang loop unroll(full)
        for (int row = 0; row < rows; row++)
          sums[part][row][v] = add_products(
            sums[part][row][v], four_inputs(x + 4 * (row * fours + four + part)), w + 64 * (four + part), v);
  }
  if (parts > 1)
    for (; four < fours; four++)
#pragma clang loop unroll(full)
      for (int v = 0; v < GROUP_VECTORS; v++)
#pragma clang loop unroll(full)
        for (int row = 0; row < rows; row++)
          sums[0][row][v] =
            add_products(sums[0][row][v], four_inputs(x + 4 * (row * fours + four)), w + 64 * four, v);
#pragma clang loop unroll(full)
  for (int part = 1; part < parts; part++)
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++)
#pragma clang loop unroll(full)
      for (int v = 0; v < GROUP_VECTORS; v++) sums[0][row][v] += sums[part][row][v];
  for (int row = 0; row < rows; row++) store_sums(t, row, sums[0][row]);
}

/// A dot product's sum waits for the last one: with few rows it is kept in parts.
#define INTEGER_PARTS(rows) (DOTS && (rows) <= 2 ? 4 : 1)
#define INTEGER_TILE(rows) \
  static void integer_tile_##rows(const struct integer_tile *t) { integer_tile(rows, INTEGER_PARTS(rows), t); }

INTEGER_TILE(1)
#if GROUP_ROWS > 1
INTEGER_TILE(2) INTEGER_TILE(3)
#endif
#if GROUP_ROWS > 3
INTEGER_TILE(4) INTEGER_TILE(5) INTEGER_TILE(6)
#endif
#if GROUP_ROWS > 6
INTEGER_TILE(7) INTEGER_TILE(8)
#endif
#if GROUP_ROWS > 8
INTEGER_TILE(9) INTEGER_TILE(10) INTEGER_TILE(11) INTEGER_TILE(12)
#endif

static void (*const integer_tiles[GROUP_ROWS])(const struct integer_tile *) = {
  integer_tile_1,
#if GROUP_ROWS > 1
  integer_tile_2, integer_tile_3,
#endif
#if GROUP_ROWS > 3
  integer_tile_4, integer_tile_5, integer_tile_6,
#endif
#if GROUP_ROWS > 6
  integer_tile_7, integer_tile_8,
#endif
#if GROUP_ROWS > 8
  integer_tile_9, integer_tile_10, integer_tile_11, integer_tile_12,
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
  const ptrdiff_t padded = (p->inputs + 3) / 4 * 4;
  const uint8_t flip = p->is_signed ? 128 : 0;
  for (ptrdiff_t row = 0; row < p->rows; row++) {
    const uint8_t *from = p->x + row * p->x_stride;
    operand *to = x + row * padded;
    for (ptrdiff_t input = 0; input < p->inputs; input++) to[input] = from[input] ^ flip;
    for (ptrdiff_t input = p->inputs; input < padded; input++) to[input] = 0;
    if (p->w_zeros) {
      uint32_t sum = (uint32_t)p->inputs * (uint32_t)p->x_zero;
      for (ptrdiff_t input = 0; input < p->inputs; input++) sum -= (uint32_t)to[input];
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
