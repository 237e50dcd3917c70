// Names descriptors by their addresses, which Swift cannot take of imported globals.
#pragma once
#include "onnx.pb-c.h"

static inline const ProtobufCMessageDescriptor *onnx_model_descriptor(void) { return &onnx__model_proto__descriptor; }
static inline const ProtobufCMessageDescriptor *onnx_tensor_descriptor(void) { return &onnx__tensor_proto__descriptor; }
