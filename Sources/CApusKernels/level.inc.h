// All kernels of a level, and their table.
#include "kernels.h"
#include "vectors.inc.h"
#include "functions.inc.h"
#include "linear_tile.inc.h"
#include "pack.inc.h"
#include "linear.inc.h"
#include "dot_products.inc.h"
#include "integer.inc.h"
#include "conv_tile.inc.h"
#include "conv_columns.inc.h"
#include "conv.inc.h"
#include "winograd.inc.h"
#include "pool.inc.h"
#include "rows.inc.h"
#include "moves.inc.h"
#include "pairs.inc.h"
#include "reductions.inc.h"
#include "scaling.inc.h"
#include "features.inc.h"

const struct kernels TABLE = {
  .level = LEVEL,
  .linear = linear,
  .dot_products = dot_products,
  .pack = pack,
  .conv = conv,
  .winograd = winograd,
  .pool = pool,
  .pool_rows = pool_rows,
  .exp = map_exp,
  .log = map_log,
  .tanh = map_tanh,
  .erf = map_erf,
  .sigmoid = map_sigmoid,
  .gelu = map_gelu,
  .gelu_tanh = map_gelu_tanh,
  .relu = map_relu,
  .softmax = softmax,
  .log_softmax = log_softmax,
  .layer_norm = layer_norm,
  .pairs = {pairs_add, pairs_subtract, pairs_multiply, pairs_divide, pairs_max, pairs_min},
  .select = select_elements,
  .sqrt = map_sqrt,
  .reciprocal = map_reciprocal,
  .square = map_square,
  .floats_of_int32 = floats_of_int32,
  .floats_of_int64 = floats_of_int64,
  .floats_of_uint8 = floats_of_uint8,
  .floats_of_truths = floats_of_truths,
  .reduce = reduce_axis,
  .extremes = extremes,
  .axis_norm = axis_norm,
  .arg_max = arg_max,
  .transpose_4 = transpose_4,
  .transpose_8 = transpose_8,
  .integer_product = integer_product,
#ifdef TABLE_DOTS
  .integer_product_dots = TABLE_DOTS,
#endif
  .integer_scale = integer_scale,
  .quantize = quantize,
  .dequantize = dequantize,
  .range = range,
  .scale_features = scale_features,
  .normalize_features = normalize_features,
  .distances = distances,
  .dot = dot_product,
};
