// Arithmetic of two arrays, choices between them, and numbers made floats.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  apus_pair_add = 0,
  apus_pair_subtract = 1,
  apus_pair_multiply = 2,
  apus_pair_divide = 3,
  /// The greater; a NaN if there is one.
  apus_pair_max = 4,
  /// The lesser; a NaN if there is one.
  apus_pair_min = 5,
} apus_pair;

/// y[i] = a[i] ∘ b[i]. Where `a_is_one` or `b_is_one`, the first number goes with all. y may be a or b where
/// that is an array, and overlaps them in no other way.
void apus_pairs(
  apus_pair pair, ptrdiff_t count, const float *a, bool a_is_one, const float *b, bool b_is_one, float *y);

/// y[i] = condition[i] ? a[i] : b[i] for elements of 4 bytes, with one a or b for all where it is one. y
/// overlaps nothing.
void apus_select(
  ptrdiff_t count, const uint8_t *condition, const uint32_t *a, bool a_is_one, const uint32_t *b,
  bool b_is_one, uint32_t *y);

/// √x, exactly rounded; NaN below 0.
void apus_sqrt(ptrdiff_t count, const float *x, float *y);
/// 1 / x, exactly rounded.
void apus_reciprocal(ptrdiff_t count, const float *x, float *y);
void apus_square(ptrdiff_t count, const float *x, float *y);

/// The nearest float of each number. y overlaps nothing.
void apus_floats_of_int32(ptrdiff_t count, const int32_t *x, float *y);
void apus_floats_of_int64(ptrdiff_t count, const int64_t *x, float *y);
void apus_floats_of_uint8(ptrdiff_t count, const uint8_t *x, float *y);
/// 1 where a byte is not 0.
void apus_floats_of_truths(ptrdiff_t count, const uint8_t *x, float *y);
