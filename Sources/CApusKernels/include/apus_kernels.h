// SIMD kernels of the engine, for float32. Each is compiled for several instruction sets and chosen when it
// is called.
//
// No kernel allocates, and none has state but the level that `apus_level.h` tells. All may be called by any
// number of threads at once. Counts and strides are in floats and at least 0; pointers need the alignment of
// a float only.
#pragma once

#include "apus_conv.h"
#include "apus_elementwise.h"
#include "apus_features.h"
#include "apus_functions.h"
#include "apus_half.h"
#include "apus_integer.h"
#include "apus_level.h"
#include "apus_linear.h"
#include "apus_moves.h"
#include "apus_pairs.h"
#include "apus_pool.h"
#include "apus_reductions.h"
#include "apus_rows.h"
#include "apus_trees.h"
#include "apus_winograd.h"
