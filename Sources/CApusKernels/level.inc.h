// All kernels of a level, and their table.
#include "kernels.h"
#include "vectors.inc.h"
#include "functions.inc.h"
#include "linear.inc.h"
#include "integer.inc.h"
#include "pack.inc.h"
#include "rows.inc.h"
#include "scaling.inc.h"

const struct kernels TABLE = {
  .level = LEVEL,
  .linear = linear,
  .pack = pack,
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
  .add = add,
  .multiply = multiply,
  .integer_product = integer_product,
#ifdef TABLE_DOTS
  .integer_product_dots = TABLE_DOTS,
#endif
  .integer_scale = integer_scale,
  .quantize = quantize,
  .dequantize = dequantize,
  .range = range,
};
