// A session of ONNX Runtime on one thread, by its C interface, from a library that is opened when asked for: what
// our engine is compared with.
#pragma once

#include <stdint.h>

typedef struct ort_session ort_session;

/// Element types as ONNX numbers them.
enum { ort_float = 1, ort_int32 = 6 };

/// Opens a model; null with a message on standard error.
ort_session *ort_open(const char *library, const char *model, const char *input, const char *output);

/// Runs a model on one input of this type and shape, and copies its output's `count` floats.
///
/// - Returns: 0, or -1 with a message on standard error.
int ort_run(
  ort_session *session, const void *data, int64_t bytes, int type, const int64_t *shape, int64_t rank,
  float *output, int64_t count);

/// The same without the copy: what a caller in the same process waits for.
int ort_run_in_place(
  ort_session *session, const void *data, int64_t bytes, int type, const int64_t *shape, int64_t rank);
