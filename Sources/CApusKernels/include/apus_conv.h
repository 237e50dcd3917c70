// Convolutions over one or two dimensions, with the bias, an addend and a function of each sum.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "apus_linear.h"

/// A window that moves along one dimension: at place p its element i lies on the input's element
/// p stride + i dilation - before, where there is one, and on padding elsewhere.
typedef struct {
  /// Elements of the input.
  ptrdiff_t input;
  /// Elements of the window.
  ptrdiff_t kernel;
  ptrdiff_t stride;
  ptrdiff_t dilation;
  /// Elements of padding on both sides.
  ptrdiff_t before;
  ptrdiff_t after;
  /// Places of the window.
  ptrdiff_t output;
} apus_axis;

/// Sizes of a convolution, all at least 1 but the paddings. One over a line has a height of 1.
typedef struct {
  ptrdiff_t groups;
  /// Planes that each group reads and writes.
  ptrdiff_t channels;
  ptrdiff_t outputs;
  apus_axis height;
  apus_axis width;
} apus_conv_shape;

/// Floats that packed weights take; 0: a size is below what it may be, or so large that no scratch memory is
/// asked for it.
ptrdiff_t apus_conv_packed_floats(const apus_conv_shape *shape);

/// Lays weights out for `apus_conv`, in `packed`: `apus_conv_packed_floats(shape)` floats, best at an address
/// that is a multiple of 64. `weights` is [groups outputs, channels, kernel height, kernel width]. The layout
/// is the same for all levels.
void apus_conv_pack(const apus_conv_shape *shape, const float *weights, float *packed);

/// Floats of scratch memory that `apus_conv` needs for so many images. Never less for more.
ptrdiff_t apus_conv_scratch_floats(const apus_conv_shape *shape, ptrdiff_t images);

/// y = activation(weights * x + bias + addend), where * is ONNX's Conv.
///
/// x is [images, groups channels, height, width], y [images, groups outputs, height, width] of places.
/// `bias` is [groups outputs] or null, `addend` of y's shape or null. `alpha` and `beta` are the
/// activation's. `scratch` is best at an address that is a multiple of 64. y and scratch overlap nothing.
/// Products are summed in float32, in an order that depends on the level.
void apus_conv(
  const apus_conv_shape *shape, ptrdiff_t images, const float *x, const float *packed, const float *bias,
  const float *addend, apus_activation activation, float alpha, float beta, float *y, float *scratch);
