// Linux system calls and macros that Swift's Glibc module does not show: epoll, memfd, eventfd, accept4,
// SO_PEERCRED, SCM_RIGHTS, thread names and affinity. Every function returns what the kernel returned, or
// the negated errno.
#pragma once
#include <errno.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>

// A word of epoll_event.data; the packed C struct stays on this side.
typedef struct {
  uint32_t events;
  uint64_t data;
} clinux_event;

enum {
  CLINUX_EPOLLIN = EPOLLIN,
  CLINUX_EPOLLOUT = EPOLLOUT,
  CLINUX_EPOLLERR = EPOLLERR,
  CLINUX_EPOLLHUP = EPOLLHUP,
  CLINUX_EPOLLRDHUP = EPOLLRDHUP,
  CLINUX_EPOLLET = (int)EPOLLET,
};

int clinux_epoll_create(void);
int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
int clinux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data);
int clinux_epoll_remove(int epoll, int fd);
// Waits at most timeout_ns (negative: without end) for up to capacity (at most 256) events.
int clinux_epoll_wait(int epoll, clinux_event *events, int capacity, int64_t timeout_ns);

int clinux_eventfd(void);
int clinux_eventfd_signal(int fd);
int clinux_eventfd_drain(int fd);

// Maps bytes (a multiple of the page size) of anonymous shared memory twice in a row; NULL sets errno.
void *clinux_mirror_map(size_t bytes);
void clinux_mirror_unmap(void *base, size_t bytes);

int clinux_accept(int listener);
long clinux_recv(int fd, void *buffer, size_t length);
long clinux_recv_blocking(int fd, void *buffer, size_t length);
// Waits until the socket can be read or written or has failed, at most so long. Returns 1, 0 after the time, or -errno.
int clinux_wait_socket(int fd, int for_writing_too, uint64_t nanoseconds);
long clinux_send(int fd, const void *buffer, size_t length);
long clinux_send_blocking(int fd, const void *buffer, size_t length);
// Up to 64 pieces in one call, without blocking.
long clinux_send_gathered(int fd, const struct iovec *pieces, int count);
int clinux_peer_credentials(int fd, uint32_t *pid, uint32_t *uid, uint32_t *gid);
// The peer's supplementary groups; returns how many, or -ERANGE when there are more than capacity.
int clinux_peer_groups(int fd, uint32_t *gids, int capacity);
// Sends or takes one descriptor with one byte (SCM_RIGHTS).
int clinux_send_descriptor(int fd, int descriptor);
int clinux_receive_descriptor(int fd);

// Sends bytes and a descriptor in one message, without blocking.
long clinux_send_with_descriptor(int fd, const void *buffer, size_t length, int descriptor);
// Receives bytes, without blocking, and the descriptor that came with them, or -1. Of several the first is taken.
long clinux_receive_with_descriptor(int fd, void *buffer, size_t length, int *descriptor);

enum {
  CLINUX_SEAL_SEAL = 1,
  CLINUX_SEAL_SHRINK = 2,
  CLINUX_SEAL_GROW = 4,
};
// Makes shared memory of zeros, a memfd with these seals (F_ADD_SEALS of fcntl(2)), of huge pages on wish.
int clinux_shared_memory(const char *name, size_t bytes, int seals, int huge);
// Bytes of shared memory that nobody can make smaller, and that no page of can be missing: a memfd with F_SEAL_SHRINK.
// -EMEDIUMTYPE: it is something else, huge pages among them; -EPERM: not sealed.
int64_t clinux_shared_memory_bytes(int fd);
// Maps shared memory from its start; NULL sets errno.
void *clinux_map_shared(int fd, size_t bytes, int writable);
void clinux_unmap(void *base, size_t bytes);

// Gives back free heap, and all file pages that this process only reads, code above all: what is used again comes back
// from the page cache.
void clinux_release_memory(void);
// From here on memory of 1 MiB and more is a mapping of its own and goes back as soon as it is freed. By itself glibc
// raises that bound as such memory is freed (mallopt(3), M_MMAP_THRESHOLD), and keeps what is below.
void clinux_keep_large_memory_apart(void);

uint64_t clinux_monotonic_ns(void);
void clinux_pause(void);
void clinux_name_thread(const char *name);
// Lets other threads go first: sets the calling thread's nice value, 0 to 19.
int clinux_set_nice(int nice);
// Pins the calling thread to one processor.
int clinux_pin_thread(int processor);
// Processors that this process may run on.
int clinux_processors(void);
int clinux_raise_descriptor_limit(void);
// Asks for SIGTERM when the thread ends that started this process; -ESRCH where that process is not parent any more.
int clinux_end_with_parent(int parent);
// A descriptor that can be read once this child has ended, before and after it is waited for.
int clinux_process_descriptor(int process);
// Moves a file to a name that must be free.
int clinux_rename_new(const char *from, const char *to);
// Blocks SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 for this thread and its children and gives a signalfd for them;
// SIGPIPE is ignored.
int clinux_signal_descriptor(void);
int clinux_read_signal(int fd);
