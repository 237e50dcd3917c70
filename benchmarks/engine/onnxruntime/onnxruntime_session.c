// ONNX Runtime gives its functions as a table whose places never change (onnxruntime_c_api.h: "the order of the
// functions is fixed"), so that a program may name those that it needs by their places and needs no header.
#include "onnxruntime_session.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void status;
typedef void *function;

struct api_base {
  const function *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
};

enum {
  get_error_message = 2,
  create_env = 3,
  create_session = 7,
  run = 9,
  create_session_options = 10,
  set_optimization_level = 23,
  set_intra_op_threads = 24,
  set_inter_op_threads = 25,
  create_tensor_with_data = 49,
  get_tensor_data = 51,
  create_cpu_memory_info = 69,
  release_value = 96,
};

struct ort_session {
  const function *api;
  void *session;
  void *memory;
  char *input, *output;
};

static int failed(const function *api, status *result, const char *what) {
  if (!result) return 0;
  const char *message = ((const char *(*)(status *))api[get_error_message])(result);
  fprintf(stderr, "ONNX Runtime: %s: %s\n", what, message);
  return -1;
}

#define CALL(place, what, types, ...)                                                        \
  if (failed(api, ((status * (*)types) api[place])(__VA_ARGS__), what)) return NULL

ort_session *ort_open(const char *library, const char *model, const char *input, const char *output) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    fprintf(stderr, "%s\n", dlerror());
    return NULL;
  }
  const struct api_base *(*get_base)(void) = (const struct api_base *(*)(void))dlsym(handle, "OrtGetApiBase");
  const function *api = get_base ? get_base()->get_api(1) : NULL;
  if (!api) {
    fprintf(stderr, "%s is no ONNX Runtime\n", library);
    return NULL;
  }
  void *env, *options, *session, *memory;
  CALL(create_env, "CreateEnv", (int, const char *, void **), 3, "apus", &env);
  CALL(create_session_options, "CreateSessionOptions", (void **), &options);
  CALL(set_intra_op_threads, "SetIntraOpNumThreads", (void *, int), options, 1);
  CALL(set_inter_op_threads, "SetInterOpNumThreads", (void *, int), options, 1);
  CALL(set_optimization_level, "SetSessionGraphOptimizationLevel", (void *, int), options, 99);
  CALL(create_session, "CreateSession", (void *, const char *, void *, void **), env, model, options, &session);
  CALL(create_cpu_memory_info, "CreateCpuMemoryInfo", (int, int, void **), 0, 0, &memory);
  ort_session *result = malloc(sizeof *result);
  *result = (ort_session){api, session, memory, strdup(input), strdup(output)};
  return result;
}

static void *compute(
  ort_session *session, const void *data, int64_t bytes, int type, const int64_t *shape, int64_t rank) {
  const function *api = session->api;
  void *input = NULL, *output = NULL;
  CALL(
    create_tensor_with_data, "CreateTensorWithDataAsOrtValue",
    (void *, void *, size_t, const int64_t *, size_t, int, void **), session->memory, (void *)data,
    (size_t)bytes, shape, (size_t)rank, type, &input);
  const char *inputs[] = {session->input}, *outputs[] = {session->output};
  status *result =
    ((status * (*)(void *, void *, const char *const *, void *const *, size_t, const char *const *, size_t, void **))
       api[run])(session->session, NULL, inputs, &input, 1, outputs, 1, &output);
  ((void (*)(void *))api[release_value])(input);
  return failed(api, result, "Run") ? NULL : output;
}

int ort_run_in_place(
  ort_session *session, const void *data, int64_t bytes, int type, const int64_t *shape, int64_t rank) {
  void *output = compute(session, data, bytes, type, shape, rank);
  if (!output) return -1;
  ((void (*)(void *))session->api[release_value])(output);
  return 0;
}

int ort_run(
  ort_session *session, const void *data, int64_t bytes, int type, const int64_t *shape, int64_t rank,
  float *output, int64_t count) {
  void *tensor = compute(session, data, bytes, type, shape, rank);
  if (!tensor) return -1;
  void *numbers = NULL;
  status *result =
    ((status * (*)(void *, void **)) session->api[get_tensor_data])(tensor, &numbers);
  int code = failed(session->api, result, "GetTensorMutableData");
  if (code == 0) memcpy(output, numbers, (size_t)count * sizeof(float));
  ((void (*)(void *))session->api[release_value])(tensor);
  return code;
}
