// What both raw exchanges share: pinning, clocks, CPU accounts and whole reads and writes.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/// What a process has used: CPU time, and how often it gave up its processor to wait.
struct usage {
  double cpu_seconds;
  long sleeps;
};

/// The measured part of the server's life, on a page that the client reads once the server has ended.
struct server_account {
  struct usage begin, end;
};

static inline void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline double now_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline struct usage usage_now(void) {
  struct rusage r;
  if (getrusage(RUSAGE_SELF, &r) != 0) die("getrusage");
  double seconds = (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec);
  double micros = (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
  return (struct usage){seconds + micros / 1e6, r.ru_nvcsw};
}

/// Binds the calling process to one processor; a negative number leaves it free.
static inline void pin(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) die("sched_setaffinity");
}

/// Reads a whole number between `least` and `most`, or ends the program with a message that names it.
static inline long number(const char *text, const char *name, long least, long most) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
    fprintf(stderr, "%s must be a number from %ld to %ld, not '%s'\n", name, least, most, text);
    exit(2);
  }
  return value;
}

static inline struct server_account *new_server_account(void) {
  void *page = mmap(NULL, sizeof(struct server_account), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
  if (page == MAP_FAILED) die("mmap");
  return page;
}

/// 64-byte aligned, zeroed.
static inline char *new_buffer(size_t bytes) {
  size_t rounded = (bytes + 63) / 64 * 64;
  char *buffer = aligned_alloc(64, rounded);
  if (buffer == NULL) die("aligned_alloc");
  return memset(buffer, 0, rounded);
}

static inline void set_nonblocking(int fd) {
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) die("fcntl");
}

/// Reads exactly `count` bytes, trying again at once where the socket would block; 0 when the peer closed.
static inline int read_whole(int fd, char *buffer, size_t count) {
  for (size_t got = 0; got < count;) {
    ssize_t n = read(fd, buffer + got, count - got);
    if (n > 0) got += (size_t)n;
    else if (n == 0) return 0;
    else if (errno != EAGAIN && errno != EINTR) die("read");
  }
  return 1;
}

static inline void write_whole(int fd, const char *buffer, size_t count) {
  for (size_t put = 0; put < count;) {
    ssize_t n = write(fd, buffer + put, count - put);
    if (n > 0) put += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR) die("write");
  }
}

static inline int ascending_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/// The middle of the JSON line: how often and how quickly calls were made. Sorts the latencies.
static inline void print_latencies(double *micros, long calls, double seconds) {
  qsort(micros, (size_t)calls, sizeof *micros, ascending_doubles);
  printf("\"calls\": %ld, \"seconds\": %.6f, \"calls_per_second\": %.1f, ", calls, seconds, (double)calls / seconds);
  printf("\"latency_us\": {\"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}, ", micros[calls / 2],
         micros[calls / 100 * 99], micros[calls / 1000 * 999], micros[calls - 1]);
}

/// The end of the JSON line: what both sides used over the measured calls.
static inline void print_usage(struct usage client_begin, struct usage client_end,
                               const struct server_account *server) {
  printf("\"client_cpu_seconds\": %.6f, \"client_sleeps\": %ld, "
         "\"server_cpu_seconds\": %.6f, \"server_sleeps\": %ld}\n",
         client_end.cpu_seconds - client_begin.cpu_seconds, client_end.sleeps - client_begin.sleeps,
         server->end.cpu_seconds - server->begin.cpu_seconds, server->end.sleeps - server->begin.sleeps);
}
