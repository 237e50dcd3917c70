// The walk of a group of trees; compiled for nodes of either width. NODE is their type, WALK the function's
// name.
//
// A step of one walk waits for memory twice, and the branch that a processor would foresee is as often one
// way as the other. Eight walks wait together, and none has a branch: a step is
//
// place = child of the node + (slot of the row > threshold of the node)

#define STEP(k) places[k] = nodes[places[k]].child + (row[nodes[places[k]].slot] > nodes[places[k]].threshold)

static inline __attribute__((always_inline)) void WALK(
  const NODE *nodes, const int32_t *row, int least_steps, int most_steps, int32_t payloads[APUS_TREES]) {
  uint32_t places[APUS_TREES];
#pragma clang loop unroll(full)
  for (int k = 0; k < APUS_TREES; k++) places[k] = (uint32_t)k;
  int step = 0;
  for (; step < least_steps; step++) {
#pragma clang loop unroll(full)
    for (int k = 0; k < APUS_TREES; k++) STEP(k);
  }
  // Most walks have ended; whether all have is asked after every second step.
  while (step < most_steps) {
    uint32_t moved = 0;
#pragma clang loop unroll(full)
    for (int k = 0; k < APUS_TREES; k++) STEP(k);
#pragma clang loop unroll(full)
    for (int k = 0; k < APUS_TREES; k++) {
      const uint32_t before = places[k];
      STEP(k);
      moved |= places[k] ^ before;
    }
    if (!moved) break;
    step += 2;
  }
#pragma clang loop unroll(full)
  for (int k = 0; k < APUS_TREES; k++) payloads[k] = nodes[places[k]].threshold;
}

#undef STEP
#undef NODE
#undef WALK
