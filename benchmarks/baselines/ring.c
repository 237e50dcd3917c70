// The least that a call through shared memory can cost: one process writes so many bytes and bumps a counter, another
// copies them and answers with so many. Both look at the counter again and again and never sleep.
//
//   ring REQUEST_BYTES RESPONSE_BYTES CALLS [CLIENT_CPU SERVER_CPU]
//
// A CPU of -1 (the default) leaves that side unpinned. Prints one line of JSON as pingpong does.
#define _GNU_SOURCE
#include "common.h"

#include <stdatomic.h>
#include <sys/wait.h>

enum { WARM_UP_CALLS = 2000, MOST_BYTES = 1 << 20 };

/// Each counter, and the bytes, on cache lines of their own.
struct shared {
  _Alignas(128) atomic_ulong requests;
  _Alignas(128) atomic_ulong answers;
  _Alignas(128) atomic_int is_over;
  _Alignas(128) char request[MOST_BYTES];
  char answer[MOST_BYTES];
};

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void serve(struct shared *shared, size_t request_bytes, size_t response_bytes,
                  struct server_account *account) {
  char *request = new_buffer(request_bytes), *response = new_buffer(response_bytes);
  for (unsigned long call = 1;; call++) {
    if (call == WARM_UP_CALLS) account->begin = usage_now();
    while (atomic_load_explicit(&shared->requests, memory_order_acquire) != call) {
      if (atomic_load_explicit(&shared->is_over, memory_order_relaxed)) {
        account->end = usage_now();
        return;
      }
      relax();
    }
    memcpy(request, shared->request, request_bytes);
    memcpy(shared->answer, response, response_bytes);
    atomic_store_explicit(&shared->answers, call, memory_order_release);
  }
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 6) {
    fprintf(stderr, "usage: ring REQUEST_BYTES RESPONSE_BYTES CALLS [CLIENT_CPU SERVER_CPU]\n");
    return 2;
  }
  size_t request_bytes = (size_t)number(argv[1], "REQUEST_BYTES", 1, MOST_BYTES);
  size_t response_bytes = (size_t)number(argv[2], "RESPONSE_BYTES", 1, MOST_BYTES);
  long calls = number(argv[3], "CALLS", 1, 100000000);
  int client_cpu = argc == 6 ? (int)number(argv[4], "CLIENT_CPU", -1, CPU_SETSIZE - 1) : -1;
  int server_cpu = argc == 6 ? (int)number(argv[5], "SERVER_CPU", -1, CPU_SETSIZE - 1) : -1;

  struct shared *shared =
      mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) die("mmap");
  struct server_account *account = new_server_account();
  pid_t server = fork();
  if (server < 0) die("fork");
  if (server == 0) {
    pin(server_cpu);
    serve(shared, request_bytes, response_bytes, account);
    return 0;
  }
  pin(client_cpu);

  char *request = new_buffer(request_bytes), *response = new_buffer(response_bytes);
  double *micros = calloc((size_t)calls, sizeof *micros);
  if (micros == NULL) die("calloc");
  struct usage begin = {0};
  double started = 0;
  for (long call = -WARM_UP_CALLS; call < calls; call++) {
    if (call == 0) {
      begin = usage_now();
      started = now_seconds();
    }
    unsigned long number_of_call = (unsigned long)(call + WARM_UP_CALLS + 1);
    double sent = now_seconds();
    memcpy(shared->request, request, request_bytes);
    atomic_store_explicit(&shared->requests, number_of_call, memory_order_release);
    while (atomic_load_explicit(&shared->answers, memory_order_acquire) != number_of_call) relax();
    memcpy(response, shared->answer, response_bytes);
    if (call >= 0) micros[call] = (now_seconds() - sent) * 1e6;
  }
  double seconds = now_seconds() - started;
  struct usage end = usage_now();
  atomic_store(&shared->is_over, 1);
  if (waitpid(server, NULL, 0) != server) die("waitpid");

  printf("{\"request_bytes\": %zu, \"response_bytes\": %zu, ", request_bytes, response_bytes);
  print_latencies(micros, calls, seconds);
  print_usage(begin, end, account);
  return 0;
}
