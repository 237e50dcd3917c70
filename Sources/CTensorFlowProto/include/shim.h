// Names descriptors by their addresses, which Swift cannot take of imported globals.
#pragma once
#include "tensorflow.pb-c.h"

static inline const ProtobufCMessageDescriptor *tensorflow_graph_descriptor(void) {
  return &tensorflow__graph_def__descriptor;
}
static inline const ProtobufCMessageDescriptor *tensorflow_tensor_descriptor(void) {
  return &tensorflow__tensor_proto__descriptor;
}
