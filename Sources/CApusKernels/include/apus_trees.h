// Ensembles of decision trees, eight of them walked side by side.
//
// A branch asks whether x ≤ threshold and goes to its first child, else to the second, which lies behind it.
// Numbers are compared as integers in the order of the floats they stand for: that needs no flags of NaN, and
// every other comparison with a constant (<, ≥, >, =, ≠, and NaN to either side) is one of this form.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Trees of a group.
#define APUS_TREES 8

/// A branch, or a leaf, which asks for the slot that is above no threshold and is its own first child:
/// a walk that has come to a leaf stays there.
typedef struct {
  /// Of a leaf: the bits of its weight, or its number.
  int32_t threshold;
  uint16_t slot;
  /// The first child's place in the group.
  uint16_t child;
} apus_tree_node;

/// The same for groups of more than 2^16 nodes, and for more slots.
typedef struct {
  int32_t threshold;
  uint32_t slot;
  uint32_t child;
} apus_wide_tree_node;

/// Up to eight trees. The first eight nodes are their roots; where there are fewer trees, leaves stand there.
///
///   nodes:  | 8 roots | pairs of children, level by level ... |
typedef struct {
  /// `apus_tree_node` or `apus_wide_tree_node`.
  const void *nodes;
  bool is_wide;
  int trees;
  /// Steps after which the first walk may have ended, and after which all have.
  int least_steps, most_steps;
  /// Of trees whose leaves have one weight each, for the same target: that target.
  uint32_t targets[APUS_TREES];
} apus_tree_group;

/// What a leaf adds to a target.
typedef struct {
  float weight;
  uint32_t target;
} apus_leaf_weight;

/// What of a row a branch compares.
typedef struct {
  uint32_t column;
  /// Whether the slot is 0 where the feature is `value`, and 1 where it is another number; otherwise the
  /// integer that stands for the feature itself.
  bool is_comparison;
  float value;
  /// What stands for NaN: INT32_MAX, above all thresholds, or INT32_MIN.
  int32_t missing;
} apus_tree_slot;

/// Makes slots of rows of features: `slots` integers for each row. The last has no description: it is
/// INT32_MIN for every row, above no threshold.
void apus_trees_slots(
  ptrdiff_t rows, const float *x, ptrdiff_t x_stride, ptrdiff_t slots, const apus_tree_slot *slot,
  int32_t *row_slots);

/// Adds, for each row and one tree after the other, what the leaf that the row leads to weighs:
/// `sums[row * stride + target] += weight`, in float32.
///
/// `starts` and `weights` are null where every leaf has one weight; otherwise a leaf's number n stands for
/// `weights[starts[n]]` up to `weights[starts[n + 1]]`, and `is_there`, if it is not null, is set to 1 where
/// `sums` is added to.
void apus_trees_add(
  ptrdiff_t rows, const int32_t *row_slots, ptrdiff_t slots, ptrdiff_t groups, const apus_tree_group *group,
  const uint32_t *starts, const apus_leaf_weight *weights, float *sums, ptrdiff_t stride, uint8_t *is_there);

/// The integer that stands for a float among others, in their order; both zeros are the same.
static inline int32_t apus_trees_order(float value) {
  union {
    float value;
    int32_t bits;
  } u = {.value = value + 0.0f};
  return u.bits ^ ((u.bits >> 31) & 0x7fffffff);
}
