// The least that a synchronous call can cost: one process sends so many bytes, another answers with so many.
//
//   pingpong block|epoll|spin unix|tcp REQUEST_BYTES RESPONSE_BYTES CALLS [CLIENT_CPU SERVER_CPU]
//
//   block  both sides sleep in read()
//   epoll  the server sleeps in epoll_wait(), then reads; the client sleeps in read()
//   spin   both sides try read() again and again and never sleep
//
// A CPU of -1 (the default) leaves that side unpinned. Prints one line of JSON: the latency's quantiles and,
// for each side, its CPU time and how often it gave up its processor to wait.
#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { WARM_UP_CALLS = 2000 };
enum mode { MODE_BLOCK, MODE_EPOLL, MODE_SPIN };

struct pair {
  int client, server;
};

static struct pair unix_pair(void) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) die("socketpair");
  return (struct pair){fds[0], fds[1]};
}

static struct pair tcp_pair(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  int client = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || client < 0) die("socket");
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
  if (getsockname(listener, (struct sockaddr *)&address, &length) != 0) die("getsockname");
  if (listen(listener, 1) != 0) die("listen");
  if (connect(client, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  int server = accept(listener, NULL, NULL);
  if (server < 0) die("accept");
  int on = 1;
  if (setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("TCP_NODELAY");
  if (setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("TCP_NODELAY");
  close(listener);
  return (struct pair){client, server};
}

static int new_poller(int fd) {
  int poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll");
  return poller;
}

/// Answers requests until the client closes.
static void serve(int fd, enum mode mode, size_t request_bytes, size_t response_bytes,
                  struct server_account *account) {
  char *request = new_buffer(request_bytes), *response = new_buffer(response_bytes);
  int poller = mode == MODE_EPOLL ? new_poller(fd) : -1;
  if (mode != MODE_BLOCK) set_nonblocking(fd);
  for (long call = 0;; call++) {
    if (call == WARM_UP_CALLS) account->begin = usage_now();
    if (poller >= 0) {
      struct epoll_event event;
      if (epoll_wait(poller, &event, 1, -1) < 0 && errno != EINTR) die("epoll_wait");
    }
    if (!read_whole(fd, request, request_bytes)) break;
    write_whole(fd, response, response_bytes);
  }
  account->end = usage_now();
}

static enum mode mode_named(const char *name) {
  if (strcmp(name, "block") == 0) return MODE_BLOCK;
  if (strcmp(name, "epoll") == 0) return MODE_EPOLL;
  if (strcmp(name, "spin") == 0) return MODE_SPIN;
  fprintf(stderr, "the mode must be block, epoll or spin, not '%s'\n", name);
  exit(2);
}

int main(int argc, char **argv) {
  if (argc != 6 && argc != 8) {
    fprintf(stderr, "usage: pingpong block|epoll|spin unix|tcp REQUEST_BYTES RESPONSE_BYTES CALLS "
                    "[CLIENT_CPU SERVER_CPU]\n");
    return 2;
  }
  enum mode mode = mode_named(argv[1]);
  int tcp = strcmp(argv[2], "tcp") == 0;
  if (!tcp && strcmp(argv[2], "unix") != 0) {
    fprintf(stderr, "the socket must be unix or tcp, not '%s'\n", argv[2]);
    return 2;
  }
  size_t request_bytes = (size_t)number(argv[3], "REQUEST_BYTES", 1, 1 << 30);
  size_t response_bytes = (size_t)number(argv[4], "RESPONSE_BYTES", 1, 1 << 30);
  long calls = number(argv[5], "CALLS", 1, 100000000);
  int client_cpu = argc == 8 ? (int)number(argv[6], "CLIENT_CPU", -1, CPU_SETSIZE - 1) : -1;
  int server_cpu = argc == 8 ? (int)number(argv[7], "SERVER_CPU", -1, CPU_SETSIZE - 1) : -1;

  struct pair sockets = tcp ? tcp_pair() : unix_pair();
  struct server_account *account = new_server_account();
  pid_t server = fork();
  if (server < 0) die("fork");
  if (server == 0) {
    close(sockets.client);
    pin(server_cpu);
    serve(sockets.server, mode, request_bytes, response_bytes, account);
    return 0;
  }
  close(sockets.server);
  pin(client_cpu);
  if (mode == MODE_SPIN) set_nonblocking(sockets.client);

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
    double sent = now_seconds();
    write_whole(sockets.client, request, request_bytes);
    if (!read_whole(sockets.client, response, response_bytes)) {
      fprintf(stderr, "the server ended early\n");
      return 1;
    }
    if (call >= 0) micros[call] = (now_seconds() - sent) * 1e6;
  }
  double seconds = now_seconds() - started;
  struct usage end = usage_now();
  close(sockets.client);
  if (waitpid(server, NULL, 0) != server) die("waitpid");

  printf("{\"mode\": \"%s\", \"socket\": \"%s\", \"request_bytes\": %zu, \"response_bytes\": %zu, ", argv[1],
         argv[2], request_bytes, response_bytes);
  print_latencies(micros, calls, seconds);
  print_usage(begin, end, account);
  return 0;
}
