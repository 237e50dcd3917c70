// Names protobuf-c's shared empty string, whose declaration as an unsized array Swift cannot import.
#pragma once
#include "apus.pb-c.h"

static inline const char *protobuf_c_empty_string_address(void) { return protobuf_c_empty_string; }
