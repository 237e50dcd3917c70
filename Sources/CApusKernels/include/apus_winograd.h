// Convolutions of windows of 3 × 3 by Winograd's transforms, F(2 × 2, 3 × 3) of Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks" (arXiv:1509.09308): 16 products for four sums, where
// `apus_conv` takes 36. Packed weights take 16 / 9 of those of `apus_conv`.
#pragma once

#include "apus_conv.h"

/// Floats that packed weights take; 0: the convolution is not one of one group whose window of 3 × 3 moves by
/// steps of 1 without dilation, or sizes are not as `apus_conv_packed_floats` wants them.
ptrdiff_t apus_winograd_packed_floats(const apus_conv_shape *shape);

/// Lays weights out for `apus_winograd`, as `apus_conv_pack` does for `apus_conv`.
void apus_winograd_pack(const apus_conv_shape *shape, const float *weights, float *packed);

/// Floats of scratch memory that `apus_winograd` needs for so many images. Never less for more.
ptrdiff_t apus_winograd_scratch_floats(const apus_conv_shape *shape, ptrdiff_t images);

/// What `apus_conv` computes, of the same arguments, but for the packed weights and scratch memory.
///
/// Its errors are those of rounding, as those of `apus_conv` are, and about as large: inputs and weights are
/// added up in fours and nines before they are multiplied. For that, places come in squares of 2 × 2, and
/// where one of its inputs is infinite or a NaN, all sums of a square may be NaN.
void apus_winograd(
  const apus_conv_shape *shape, ptrdiff_t images, const float *x, const float *packed, const float *bias,
  const float *addend, apus_activation activation, float alpha, float beta, float *y, float *scratch);
