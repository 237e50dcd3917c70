// The most calls a second over one connection when many are in flight and no work is done for them.
//
//   pipelined DEPTH REQUEST_BYTES REPLY_BYTES [CALLS [CLIENT_CPU SERVER_CPU]]
//
// One process keeps up to DEPTH requests outstanding and sends again once half of them may be sent; another
// reads what has come and writes as many replies in one call. Both sleep in read() when nothing is there.
// A CPU of -1 (the default) leaves that side unpinned. Prints one line of JSON.
#define _GNU_SOURCE
#include "common.h"

#include <sys/socket.h>
#include <sys/wait.h>

enum { BUFFER_BYTES = 1 << 17, SOCKET_BUFFER_BYTES = 4 << 20 };

/// Answers whole requests, as many at a time as have arrived, until the client closes.
static void serve(int fd, size_t request_bytes, size_t reply_bytes, long depth) {
  char *requests = new_buffer(BUFFER_BYTES), *replies = new_buffer((size_t)depth * reply_bytes);
  for (size_t held = 0;;) {
    ssize_t n = read(fd, requests + held, BUFFER_BYTES - held);
    if (n == 0) return;
    if (n < 0) die("read");
    held += (size_t)n;
    size_t whole = held / request_bytes;
    write_whole(fd, replies, whole * reply_bytes);
    held -= whole * request_bytes;
    memmove(requests, requests + whole * request_bytes, held);
  }
}

/// Makes `calls` calls with at most `depth` of them in flight.
static void call_many(int fd, size_t request_bytes, size_t reply_bytes, long depth, long calls) {
  char *requests = new_buffer((size_t)depth * request_bytes), *replies = new_buffer(BUFFER_BYTES);
  long sent = 0, answered = 0;
  size_t partial = 0;
  while (answered < calls) {
    long room = depth - (sent - answered);
    if (room > calls - sent) room = calls - sent;
    if (room > 0 && (room >= depth / 2 || sent + room == calls)) {
      write_whole(fd, requests, (size_t)room * request_bytes);
      sent += room;
    }
    ssize_t n = read(fd, replies, BUFFER_BYTES);
    if (n == 0) {
      fprintf(stderr, "the server ended early\n");
      exit(1);
    }
    if (n < 0) die("read");
    partial += (size_t)n;
    answered += (long)(partial / reply_bytes);
    partial %= reply_bytes;
  }
}

static void widen(int fd) {
  int bytes = SOCKET_BUFFER_BYTES;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) != 0) die("SO_SNDBUF");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0) die("SO_RCVBUF");
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 5 && argc != 7) {
    fprintf(stderr, "usage: pipelined DEPTH REQUEST_BYTES REPLY_BYTES [CALLS [CLIENT_CPU SERVER_CPU]]\n");
    return 2;
  }
  long depth = number(argv[1], "DEPTH", 1, 65536);
  size_t request_bytes = (size_t)number(argv[2], "REQUEST_BYTES", 1, BUFFER_BYTES);
  size_t reply_bytes = (size_t)number(argv[3], "REPLY_BYTES", 1, BUFFER_BYTES);
  long calls = argc > 4 ? number(argv[4], "CALLS", 1, 1000000000) : 1000000;
  int client_cpu = argc == 7 ? (int)number(argv[5], "CLIENT_CPU", -1, CPU_SETSIZE - 1) : -1;
  int server_cpu = argc == 7 ? (int)number(argv[6], "SERVER_CPU", -1, CPU_SETSIZE - 1) : -1;

  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) die("socketpair");
  widen(fds[0]);
  widen(fds[1]);
  struct server_account *account = new_server_account();
  pid_t server = fork();
  if (server < 0) die("fork");
  if (server == 0) {
    close(fds[0]);
    pin(server_cpu);
    account->begin = usage_now();
    serve(fds[1], request_bytes, reply_bytes, depth);
    account->end = usage_now();
    return 0;
  }
  close(fds[1]);
  pin(client_cpu);

  struct usage begin = usage_now();
  double started = now_seconds();
  call_many(fds[0], request_bytes, reply_bytes, depth, calls);
  double seconds = now_seconds() - started;
  struct usage end = usage_now();
  close(fds[0]);
  if (waitpid(server, NULL, 0) != server) die("waitpid");

  printf("{\"depth\": %ld, \"request_bytes\": %zu, \"reply_bytes\": %zu, \"calls\": %ld, \"seconds\": %.6f, "
         "\"calls_per_second\": %.1f, ",
         depth, request_bytes, reply_bytes, calls, seconds, (double)calls / seconds);
  print_usage(begin, end, account);
  return 0;
}
