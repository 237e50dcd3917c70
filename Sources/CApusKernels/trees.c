// What `apus_trees.h` promises. The same code serves all levels: gathers of vectors are no faster than eight
// loads.
#include "apus_trees.h"

#include <string.h>

#define NODE apus_tree_node
#define WALK walk
#include "trees.inc.h"
#define NODE apus_wide_tree_node
#define WALK walk_wide
#include "trees.inc.h"

void apus_trees_slots(
  ptrdiff_t rows, const float *x, ptrdiff_t x_stride, ptrdiff_t slots, const apus_tree_slot *slot,
  int32_t *row_slots) {
  for (; rows > 0; rows--, x += x_stride, row_slots += slots) {
    for (ptrdiff_t index = 0; index < slots - 1; index++) {
      const float value = x[slot[index].column];
      const int32_t number = slot[index].is_comparison ? value != slot[index].value : apus_trees_order(value);
      row_slots[index] = value == value ? number : slot[index].missing;
    }
    row_slots[slots - 1] = INT32_MIN;
  }
}

static inline float weight(int32_t payload) {
  float value;
  memcpy(&value, &payload, sizeof value);
  return value;
}

/// Adds eight weights, or those of fewer trees, one after the other.
static inline __attribute__((always_inline)) void add_single(
  const apus_tree_group *g, const int32_t payloads[APUS_TREES], float *sums) {
  if (g->trees == APUS_TREES) {
#pragma clang loop unroll(full)
    for (int k = 0; k < APUS_TREES; k++) sums[g->targets[k]] += weight(payloads[k]);
  } else {
    for (int k = 0; k < g->trees; k++) sums[g->targets[k]] += weight(payloads[k]);
  }
}

static void add_many(
  const apus_tree_group *g, const int32_t payloads[APUS_TREES], const uint32_t *starts,
  const apus_leaf_weight *weights, float *sums, uint8_t *is_there) {
  for (int k = 0; k < g->trees; k++) {
    const uint32_t leaf = (uint32_t)payloads[k];
    for (uint32_t index = starts[leaf]; index < starts[leaf + 1]; index++) {
      sums[weights[index].target] += weights[index].weight;
      if (is_there) is_there[weights[index].target] = 1;
    }
  }
}

void apus_trees_add(
  ptrdiff_t rows, const int32_t *row_slots, ptrdiff_t slots, ptrdiff_t groups, const apus_tree_group *group,
  const uint32_t *starts, const apus_leaf_weight *weights, float *sums, ptrdiff_t stride, uint8_t *is_there) {
  // All rows pass a group while its nodes are in cache.
  for (; groups > 0; groups--, group++) {
    const int32_t *row = row_slots;
    for (ptrdiff_t index = 0; index < rows; index++, row += slots) {
      int32_t payloads[APUS_TREES];
      if (group->is_wide) {
        walk_wide(group->nodes, row, group->least_steps, group->most_steps, payloads);
      } else {
        walk(group->nodes, row, group->least_steps, group->most_steps, payloads);
      }
      if (starts) {
        uint8_t *there = is_there ? is_there + index * stride : 0;
        add_many(group, payloads, starts, weights, sums + index * stride, there);
      } else {
        add_single(group, payloads, sums + index * stride);
      }
    }
  }
}
