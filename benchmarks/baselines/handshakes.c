// How many TLS 1.3 handshakes a server makes each second, and whether it bears clients that never finish one.
//
//   handshakes HOST PORT [--connections N] [--seconds S] [--resume] [--hold] [--ca FILE] [--alpn NAME]
//
// One thread keeps N connections (64) busy for S seconds (2): each is opened, shakes hands, says goodbye,
// waits for the server's goodbye and is opened anew. A handshake counts when that has come, as the client is
// done before the server has read its last message.
//
//   --resume   resume a session that a first connection brought; only a handshake that did so counts
//   --hold     send half a ClientHello on each connection and keep them open for S seconds
//   --ca FILE  check the server's certificate and that it is for HOST; otherwise any certificate will do
//
// Prints one line of JSON, on SIGTERM before its time is over. The processor time tells whether this program
// or the server was the limit.
#define _GNU_SOURCE
#include "common.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { EVENTS = 64, MOST_CONNECTIONS = 10000, MOST_FAILURES_IN_A_ROW = 100 };

struct options {
  const char *host, *port, *ca, *alpn;
  int connections;
  double seconds;
  int resume, hold;
};

struct connection {
  SSL *ssl;
  int fd;
  int shaken;  // the client's side of the handshake is done
};

struct totals {
  long handshakes, resumed, failed;
  int failures_in_a_row;
};

static struct sockaddr_storage server_address;
static socklen_t server_address_bytes;
/// The newest session that the server gave.
static SSL_SESSION *session;
static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static void die_of_tls(const char *what) {
  fprintf(stderr, "%s: %s\n", what, ERR_error_string(ERR_peek_last_error(), NULL));
  exit(1);
}

static void usage_error(const char *what) {
  fprintf(stderr, "%s\nusage: handshakes HOST PORT [--connections N] [--seconds S] [--resume] [--hold] "
                  "[--ca FILE] [--alpn NAME]\n", what);
  exit(2);
}

static double seconds_of(const char *text) {
  char *end;
  double seconds = strtod(text, &end);
  if (end == text || *end != '\0' || !(seconds > 0 && seconds <= 3600)) {
    usage_error("--seconds must be a number over 0, at most 3600");
  }
  return seconds;
}

static struct options read_options(int argc, char **argv) {
  if (argc < 3) usage_error("HOST and PORT are missing");
  struct options options = {.host = argv[1], .port = argv[2], .connections = 64, .seconds = 2};
  for (int i = 3; i < argc; i++) {
    const char *name = argv[i], *value = argv[i + 1];
    if (strcmp(name, "--resume") == 0) {
      options.resume = 1;
      continue;
    }
    if (strcmp(name, "--hold") == 0) {
      options.hold = 1;
      continue;
    }
    if (value == NULL) usage_error("an option is unknown, or its value is missing");
    i++;
    if (strcmp(name, "--connections") == 0) {
      options.connections = (int)number(value, name, 1, MOST_CONNECTIONS);
    } else if (strcmp(name, "--seconds") == 0) {
      options.seconds = seconds_of(value);
    } else if (strcmp(name, "--ca") == 0) {
      options.ca = value;
    } else if (strcmp(name, "--alpn") == 0) {
      options.alpn = value;
    } else {
      usage_error("an option is unknown");
    }
  }
  if (options.resume && options.hold) usage_error("--resume and --hold do not go together");
  return options;
}

static void allow_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit");
}

static void resolve(const struct options *options) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  int error = getaddrinfo(options->host, options->port, &hints, &found);
  if (error != 0) {
    fprintf(stderr, "%s port %s: %s\n", options->host, options->port, gai_strerror(error));
    exit(1);
  }
  memcpy(&server_address, found->ai_addr, found->ai_addrlen);
  server_address_bytes = found->ai_addrlen;
  freeaddrinfo(found);
}

/// OpenSSL calls this for every ticket that the server sends.
static int keep_session(SSL *ssl, SSL_SESSION *newest) {
  (void)ssl;
  SSL_SESSION_free(session);
  session = newest;
  return 1;
}

static void check_host(SSL_CTX *context, const char *host) {
  unsigned char address[sizeof(struct in6_addr)];
  X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(context);
  int is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
  if ((is_address ? X509_VERIFY_PARAM_set1_ip_asc(parameters, host)
                  : X509_VERIFY_PARAM_set1_host(parameters, host, 0)) != 1) {
    die_of_tls("the host's name cannot be checked");
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
}

static SSL_CTX *new_context(const struct options *options) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) die_of_tls("TLS 1.3");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  SSL_CTX_set_read_ahead(context, 1);  // one read for a flight, not two for each record
  if (options->ca != NULL) {
    if (SSL_CTX_load_verify_locations(context, options->ca, NULL) != 1) die_of_tls(options->ca);
    check_host(context, options->host);
  }
  if (options->alpn != NULL) {
    unsigned char list[256];
    size_t length = strlen(options->alpn);
    if (length < 1 || length > 255) usage_error("--alpn takes 1 to 255 characters");
    list[0] = (unsigned char)length;
    memcpy(list + 1, options->alpn, length);
    if (SSL_CTX_set_alpn_protos(context, list, (unsigned)length + 1) != 0) die_of_tls("--alpn");
  }
  return context;
}

/// A socket on its way to the server; -1 when the server refused it at once.
static int open_socket(int flags) {
  int on = 1, fd = socket(server_address.ss_family, SOCK_STREAM | flags, 0);
  if (fd < 0) die("socket");
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("TCP_NODELAY");
  // Bounds connect() of a socket that blocks, against a server whose queue is full.
  struct timeval limit = {.tv_sec = 2};
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) die("SO_SNDTIMEO");
  if (connect(fd, (struct sockaddr *)&server_address, server_address_bytes) != 0 && errno != EINPROGRESS) {
    close(fd);
    return -1;
  }
  return fd;
}

/// `why` is told where OpenSSL has no error of its own, and no handshake at all succeeds.
static void count_failure(struct totals *totals, const char *why) {
  unsigned long error = ERR_peek_last_error();
  totals->failed++;
  if (++totals->failures_in_a_row < MOST_FAILURES_IN_A_ROW) {
    ERR_clear_error();
    return;
  }
  fprintf(stderr, "no handshake succeeds; the last one: %s\n",
          error == 0 ? why : ERR_error_string(error, NULL));
  exit(1);
}

/// OpenSSL makes a session worthless when the first handshake that used it is done: each gets a copy.
static void resume(SSL *ssl, SSL_SESSION *resumed) {
  SSL_SESSION *copy = SSL_SESSION_dup(resumed);
  if (copy == NULL || SSL_set_session(ssl, copy) != 1) die_of_tls("SSL_set_session");
  SSL_SESSION_free(copy);
}

static void open_connection(struct connection *connection, SSL_CTX *context, SSL_SESSION *resumed, int poller,
                            struct totals *totals) {
  while ((connection->fd = open_socket(SOCK_NONBLOCK)) < 0) {
    count_failure(totals, "the connection was refused");
  }
  connection->shaken = 0;
  connection->ssl = SSL_new(context);
  if (connection->ssl == NULL || SSL_set_fd(connection->ssl, connection->fd) != 1) die_of_tls("SSL_new");
  if (resumed != NULL) resume(connection->ssl, resumed);
  SSL_set_connect_state(connection->ssl);
  // Edges: the descriptor is registered once in its life, and no event is left over when it is closed.
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event) != 0) die("epoll_ctl");
}

static void close_connection(struct connection *connection) {
  // Otherwise OpenSSL would take the connection for a broken one, and its session for worthless.
  SSL_set_shutdown(connection->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(connection->ssl);
  close(connection->fd);
}

enum progress { WAITING, DONE, FAILED };

/// Goes on as far as the bytes that are there allow.
static enum progress advance(struct connection *connection) {
  char discarded[4096];
  ERR_clear_error();
  if (!connection->shaken) {
    int result = SSL_do_handshake(connection->ssl);
    if (result != 1) {
      int error = SSL_get_error(connection->ssl, result);
      return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? WAITING : FAILED;
    }
    connection->shaken = 1;
    if (SSL_shutdown(connection->ssl) < 0) return FAILED;
  }
  while (1) {
    int count = SSL_read(connection->ssl, discarded, sizeof discarded);
    if (count > 0) continue;
    int error = SSL_get_error(connection->ssl, count);
    if (error == SSL_ERROR_WANT_READ) return WAITING;
    return error == SSL_ERROR_ZERO_RETURN ? DONE : FAILED;
  }
}

static void count(struct connection *connection, enum progress progress, const struct options *options,
                  struct totals *totals) {
  int resumed = progress == DONE && SSL_session_reused(connection->ssl);
  if (progress == FAILED || (options->resume && !resumed)) {
    count_failure(totals, progress == FAILED ? "the connection was cut" : "the session was not resumed");
    return;
  }
  totals->failures_in_a_row = 0;
  totals->handshakes++;
  totals->resumed += resumed;
}

/// The first connection of --resume: a whole handshake, for its ticket.
static void obtain_session(SSL_CTX *context) {
  struct connection connection = {.fd = open_socket(0)};
  if (connection.fd < 0) die("connect");
  connection.ssl = SSL_new(context);
  if (connection.ssl == NULL || SSL_set_fd(connection.ssl, connection.fd) != 1) die_of_tls("SSL_new");
  SSL_set_connect_state(connection.ssl);
  enum progress progress;
  do {
    progress = advance(&connection);
  } while (progress == WAITING);
  if (progress == FAILED) die_of_tls("the first handshake failed");
  close_connection(&connection);
  if (session == NULL) {
    fprintf(stderr, "the server gave no session ticket, so that nothing can be resumed\n");
    exit(1);
  }
}

static void shake_hands(SSL_CTX *context, const struct options *options) {
  struct connection *connections = calloc((size_t)options->connections, sizeof *connections);
  struct epoll_event events[EVENTS];
  struct totals totals = {0};
  int poller = epoll_create1(0);
  if (connections == NULL || poller < 0) die("epoll_create1");
  if (options->resume) obtain_session(context);

  struct usage begin = usage_now();
  double started = now_seconds(), now = started;
  for (int i = 0; i < options->connections; i++) {
    open_connection(&connections[i], context, options->resume ? session : NULL, poller, &totals);
  }
  while (!stopped && now < started + options->seconds) {
    int left = (int)((started + options->seconds - now) * 1000) + 1;
    int ready = epoll_wait(poller, events, EVENTS, left);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *connection = events[i].data.ptr;
      enum progress progress = advance(connection);
      if (progress == WAITING) continue;
      count(connection, progress, options, &totals);
      close_connection(connection);
      open_connection(connection, context, options->resume ? session : NULL, poller, &totals);
    }
    now = now_seconds();
  }
  double seconds = now - started, cpu = usage_now().cpu_seconds - begin.cpu_seconds;
  printf("{\"handshakes\": %ld, \"resumed\": %ld, \"failed\": %ld, \"seconds\": %.6f, \"per_second\": %.1f, "
         "\"cpu_seconds\": %.6f}\n",
         totals.handshakes, totals.resumed, totals.failed, seconds, (double)totals.handshakes / seconds, cpu);
}

/// A ClientHello as the options make it.
static size_t client_hello(SSL_CTX *context, char *bytes, size_t capacity) {
  SSL *ssl = SSL_new(context);
  BIO *incoming = BIO_new(BIO_s_mem()), *outgoing = BIO_new(BIO_s_mem());
  if (ssl == NULL || incoming == NULL || outgoing == NULL) die_of_tls("SSL_new");
  SSL_set_bio(ssl, incoming, outgoing);
  SSL_set_connect_state(ssl);
  SSL_do_handshake(ssl);
  int length = BIO_read(outgoing, bytes, (int)capacity);
  if (length < 2) die_of_tls("no ClientHello could be made");
  SSL_free(ssl);
  return (size_t)length;
}

/// Whether the server has closed; what it sends, an alert perhaps, is discarded.
static int has_ended(int fd) {
  char discarded[4096];
  ssize_t n;
  while ((n = recv(fd, discarded, sizeof discarded, MSG_DONTWAIT)) > 0) continue;
  return n == 0 || (errno != EAGAIN && errno != EINTR);
}

static void hold(SSL_CTX *context, const struct options *options) {
  int *fds = calloc((size_t)options->connections, sizeof *fds);
  if (fds == NULL) die("calloc");
  char hello[4096];
  size_t half = client_hello(context, hello, sizeof hello) / 2;
  long refused = 0, closed = 0;
  double started = now_seconds();
  for (int i = 0; i < options->connections; i++) {
    fds[i] = open_socket(0);
    if (fds[i] >= 0 && send(fds[i], hello, half, 0) != (ssize_t)half) {
      close(fds[i]);
      fds[i] = -1;
    }
    refused += fds[i] < 0;
  }
  double opened = now_seconds() - started;
  struct timespec rest = {.tv_sec = (time_t)options->seconds,
                          .tv_nsec = (long)((options->seconds - (double)(time_t)options->seconds) * 1e9)};
  nanosleep(&rest, NULL);
  for (int i = 0; i < options->connections; i++) closed += fds[i] >= 0 && has_ended(fds[i]);
  printf("{\"held\": %ld, \"closed\": %ld, \"refused\": %ld, \"opening_seconds\": %.6f, \"seconds\": %.6f}\n",
         options->connections - refused - closed, closed, refused, opened, now_seconds() - started);
}

int main(int argc, char **argv) {
  struct options options = read_options(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  struct sigaction stopping = {.sa_handler = stop};
  if (sigaction(SIGTERM, &stopping, NULL) != 0) die("sigaction");
  allow_descriptors();
  resolve(&options);
  SSL_CTX *context = new_context(&options);
  if (options.hold) hold(context, &options);
  else shake_hands(context, &options);
  return 0;
}
