// The rectifier, which needs no other function; y may be x, and overlaps it in no other way.
#pragma once

#include <stddef.h>

/// v where v ≥ 0, otherwise 0; a NaN stays a NaN.
void apus_relu(ptrdiff_t count, const float *x, float *y);
