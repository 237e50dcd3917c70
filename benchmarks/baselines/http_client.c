// POST /classify with 100 numbers in JSON, one call at a time, by a client that reads again and again and never
// sleeps: what is measured is the server and the kernel, and not the client's own wake-up.
//
//   http_client PORT SECONDS
//
// Opens a new connection where the server has closed the last one. Prints one line of JSON.
#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { MOST_CALLS = 4000000, MOST_BYTES = 16384 };

static char request[MOST_BYTES], answer[MOST_BYTES + 1];
static float micros[MOST_CALLS];

static size_t make_request(void) {
  char body[MOST_BYTES / 2] = "{\"text\": [";
  size_t length = strlen(body);
  for (int i = 1; i <= 100; i++) {
    // As long in text as the numbers of classify.lua.
    double value = (double)((i * 7919) % 2000) / 1000 - 1;
    length += (size_t)snprintf(body + length, sizeof body - length, "%s%.6f", i > 1 ? ", " : "", value);
  }
  length += (size_t)snprintf(body + length, sizeof body - length, "]}");
  return (size_t)snprintf(request, sizeof request,
                          "POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s", length, body);
}

static int connected(int port) {
  struct sockaddr_in address = {
    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("TCP_NODELAY");
  set_nonblocking(fd);
  return fd;
}

/// Where the answer ends, or 0 while its head is not whole.
static size_t end_of_answer(size_t got) {
  answer[got] = '\0';
  char *body = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "content-length:");
  if (body == NULL) return 0;
  if (length == NULL || length > body) {
    fprintf(stderr, "an answer without a length: %.80s\n", answer);
    exit(1);
  }
  return (size_t)(body + 4 - answer) + (size_t)strtoul(length + 15, NULL, 10);
}

/// Reads an answer; 0 when the server had closed the connection before it.
static int read_answer(int fd) {
  size_t got = 0;
  for (;;) {
    ssize_t n = read(fd, answer + got, MOST_BYTES - got);
    if (n == 0 || (n < 0 && errno == ECONNRESET)) {
      if (got == 0) return 0;
      die("the answer was cut");
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) die("read");
    if (n <= 0) continue;
    got += (size_t)n;
    size_t end = end_of_answer(got);
    if (end > 0 && got >= end) break;
    if (got == MOST_BYTES) die("the answer is too long");
  }
  if (strncmp(answer, "HTTP/1.1 200", 12) != 0) {
    fprintf(stderr, "not answered: %.80s\n", answer);
    exit(1);
  }
  return 1;
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: http_client PORT SECONDS\n");
    return 2;
  }
  int port = (int)number(argv[1], "PORT", 1, 65535);
  double seconds = strtod(argv[2], NULL);
  size_t bytes = make_request();
  int fd = -1;
  long calls = 0;
  double started = now_seconds(), sent = started;
  while (sent - started < seconds && calls < MOST_CALLS) {
    sent = now_seconds();
    if (fd < 0) fd = connected(port);
    write_whole(fd, request, bytes);
    if (!read_answer(fd)) {
      close(fd);
      fd = -1;
      continue;
    }
    micros[calls++] = (float)((now_seconds() - sent) * 1e6);
    // A server that closes connections has said so.
    char *closes = strcasestr(answer, "connection: close");
    if (closes != NULL && closes < strstr(answer, "\r\n\r\n")) {
      close(fd);
      fd = -1;
    }
  }
  double took = now_seconds() - started;
  if (calls == 0) {
    fprintf(stderr, "no call was answered\n");
    return 1;
  }
  qsort(micros, (size_t)calls, sizeof *micros, ascending);
  printf("{\"calls\": %ld, \"errors\": 0, \"calls_per_second\": %.1f, \"latency_us\": {\"p50\": %.3f, "
         "\"p99\": %.3f, \"p999\": %.3f}}\n", calls, (double)calls / took, micros[calls / 2],
         micros[calls * 99 / 100], micros[calls * 999 / 1000]);
  return 0;
}
