#define _GNU_SOURCE
#include "clinux.h"

#include <elf.h>
#include <fcntl.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <link.h>
#include <linux/magic.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline long result(long value) { return value < 0 ? -errno : value; }

int clinux_epoll_create(void) { return (int)result(epoll_create1(EPOLL_CLOEXEC)); }

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return (int)result(epoll_ctl(epoll, operation, fd, &event));
}

int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
  return control(epoll, EPOLL_CTL_ADD, fd, events, data);
}

int clinux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
  return control(epoll, EPOLL_CTL_MOD, fd, events, data);
}

int clinux_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int clinux_epoll_wait(int epoll, clinux_event *events, int capacity, int64_t timeout_ns) {
  struct epoll_event raw[256];
  if (capacity > 256) capacity = 256;
  long count;
  do {
    if (timeout_ns <= 0) {
      count = epoll_wait(epoll, raw, capacity, timeout_ns < 0 ? -1 : 0);
    } else {
      int milliseconds = timeout_ns > 3600000000000LL ? 3600000 : (int)((timeout_ns + 999999) / 1000000);
      count = epoll_wait(epoll, raw, capacity, milliseconds);
    }
  } while (count < 0 && errno == EINTR);
  for (long i = 0; i < count; i++) {
    events[i].events = raw[i].events;
    events[i].data = raw[i].data.u64;
  }
  return (int)result(count);
}

int clinux_eventfd(void) { return (int)result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int clinux_eventfd_signal(int fd) {
  uint64_t one = 1;
  return (int)result(write(fd, &one, sizeof one));
}

int clinux_eventfd_drain(int fd) {
  uint64_t count;
  return (int)result(read(fd, &count, sizeof count));
}

void *clinux_mirror_map(size_t bytes) {
  // Shared memory without a file: a connection then costs no second descriptor, not even for a moment.
  int both = PROT_READ | PROT_WRITE, shared = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
  char *base = mmap(NULL, 2 * bytes, both, shared, -1, 0);
  if (base == MAP_FAILED) return NULL;
  // An old size of 0 maps shared pages once more (mremap(2)), here in place of the second half.
  if (mremap(base, 0, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, base + bytes) == MAP_FAILED) {
    int saved = errno;
    munmap(base, 2 * bytes);
    errno = saved;
    return NULL;
  }
  return base;
}

void clinux_mirror_unmap(void *base, size_t bytes) { munmap(base, 2 * bytes); }

int clinux_accept(int listener) {
  int fd;
  do {
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return (int)result(fd);
}

static long receive(int fd, void *buffer, size_t length, int flags) {
  long count;
  do {
    count = recv(fd, buffer, length, flags);
  } while (count < 0 && errno == EINTR);
  return result(count);
}

long clinux_recv(int fd, void *buffer, size_t length) { return receive(fd, buffer, length, MSG_DONTWAIT); }

long clinux_recv_blocking(int fd, void *buffer, size_t length) { return receive(fd, buffer, length, 0); }

int clinux_wait_socket(int fd, int for_writing_too, uint64_t nanoseconds) {
  struct pollfd entry = {.fd = fd, .events = for_writing_too ? POLLIN | POLLOUT : POLLIN};
  uint64_t seconds = nanoseconds / 1000000000u;
  struct timespec time = {.tv_sec = seconds > 1000000000u ? 1000000000 : (time_t)seconds,
                          .tv_nsec = (long)(nanoseconds % 1000000000u)};
  int count = ppoll(&entry, 1, &time, NULL);
  return count < 0 && errno == EINTR ? 0 : (int)result(count);
}

static long transmit(int fd, const void *buffer, size_t length, int flags) {
  long count;
  do {
    count = send(fd, buffer, length, flags | MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  return result(count);
}

long clinux_send(int fd, const void *buffer, size_t length) { return transmit(fd, buffer, length, MSG_DONTWAIT); }

long clinux_send_blocking(int fd, const void *buffer, size_t length) { return transmit(fd, buffer, length, 0); }

long clinux_send_gathered(int fd, const struct iovec *pieces, int count) {
  struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
  long sent;
  do {
    sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return result(sent);
}

int clinux_peer_credentials(int fd, uint32_t *pid, uint32_t *uid, uint32_t *gid) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
  *pid = (uint32_t)credentials.pid;
  *uid = credentials.uid;
  *gid = credentials.gid;
  return 0;
}

int clinux_peer_groups(int fd, uint32_t *gids, int capacity) {
  socklen_t length = (socklen_t)capacity * sizeof *gids;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &length) < 0) return -errno;
  return (int)(length / sizeof *gids);
}

// Room for the control message that passes one descriptor, aligned as its header is.
union passed {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

static long send_with_descriptor(int fd, const void *buffer, size_t length, int descriptor, int flags) {
  struct iovec piece = {.iov_base = (void *)buffer, .iov_len = length};
  union passed control = {0};
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  return result(sendmsg(fd, &message, flags | MSG_NOSIGNAL));
}

// The kernel closes what does not fit into the control message, which has room for one descriptor, or two where that is
// rounded up.
static long receive_with_descriptor(int fd, void *buffer, size_t length, int *descriptor, int flags) {
  *descriptor = -1;
  struct iovec piece = {.iov_base = buffer, .iov_len = length};
  union passed control;
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  long count;
  do {
    count = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return -errno;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return count;
  for (size_t at = 0; at + CMSG_LEN(sizeof(int)) <= header->cmsg_len; at += sizeof(int)) {
    int passed;
    memcpy(&passed, CMSG_DATA(header) + at, sizeof passed);
    if (*descriptor < 0) {
      *descriptor = passed;
    } else {
      close(passed);
    }
  }
  return count;
}

int clinux_send_descriptor(int fd, int descriptor) { return (int)send_with_descriptor(fd, "", 1, descriptor, 0); }

int clinux_receive_descriptor(int fd) {
  char byte;
  int descriptor;
  long count = receive_with_descriptor(fd, &byte, 1, &descriptor, 0);
  return count < 0 ? (int)count : descriptor < 0 ? -EBADMSG : descriptor;
}

long clinux_send_with_descriptor(int fd, const void *buffer, size_t length, int descriptor) {
  return send_with_descriptor(fd, buffer, length, descriptor, MSG_DONTWAIT);
}

long clinux_receive_with_descriptor(int fd, void *buffer, size_t length, int *descriptor) {
  return receive_with_descriptor(fd, buffer, length, descriptor, MSG_DONTWAIT);
}

_Static_assert(CLINUX_SEAL_SEAL == F_SEAL_SEAL && CLINUX_SEAL_SHRINK == F_SEAL_SHRINK && CLINUX_SEAL_GROW == F_SEAL_GROW,
               "the kernel's own numbers");

int clinux_shared_memory(const char *name, size_t bytes, int seals, int huge) {
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0));
  if (fd < 0) return -errno;
  if (ftruncate(fd, (off_t)bytes) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

int64_t clinux_shared_memory_bytes(int fd) {
  struct statfs system;
  struct stat file;
  if (fstatfs(fd, &system) < 0 || fstat(fd, &file) < 0) return -errno;
  if (system.f_type != TMPFS_MAGIC || !S_ISREG(file.st_mode)) return -EMEDIUMTYPE;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return -EMEDIUMTYPE;
  return seals & F_SEAL_SHRINK ? (int64_t)file.st_size : -EPERM;
}

void *clinux_map_shared(int fd, size_t bytes, int writable) {
  void *base = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
  return base == MAP_FAILED ? NULL : base;
}

void clinux_unmap(void *base, size_t bytes) { munmap(base, bytes); }

// Segments that are never written hold nothing that the file does not, except where code itself is relocated
// (DT_TEXTREL). What else stands in a segment that is written, RELRO too, is not touched. The vDSO is no file.
static int release_object(struct dl_phdr_info *object, size_t size, void *unused) {
  (void)size;
  (void)unused;
  if (object->dlpi_name[0] != '\0' && strchr(object->dlpi_name, '/') == NULL) return 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    if (object->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++) {
      if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL))) return 0;
    }
  }
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
    uintptr_t start = (object->dlpi_addr + segment->p_vaddr + page - 1) & ~(page - 1);
    uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);
    if (start < end) madvise((void *)start, end - start, MADV_DONTNEED);
  }
  return 0;
}

void clinux_release_memory(void) {
  malloc_trim(0);
  dl_iterate_phdr(release_object, NULL);
}

uint64_t clinux_monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clinux_pause(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

// On Linux the nice value belongs to the thread (setpriority(2), "C library/kernel differences").
int clinux_set_nice(int nice) { return (int)result(setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice)); }

int clinux_pin_thread(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return (int)result(sched_setaffinity(0, sizeof set, &set));
}

int clinux_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
  return CPU_COUNT(&set);
}

int clinux_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
  return limit.rlim_cur > 1000000 ? 1000000 : (int)limit.rlim_cur;
}

int clinux_end_with_parent(int parent) {
  int done = (int)result(prctl(PR_SET_PDEATHSIG, SIGTERM));
  return done < 0 ? done : getppid() == parent ? 0 : -ESRCH;
}

int clinux_process_descriptor(int process) { return (int)result(syscall(SYS_pidfd_open, process, 0)); }

void clinux_keep_large_memory_apart(void) {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

int clinux_rename_new(const char *from, const char *to) {
  return (int)result(renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE));
}

int clinux_signal_descriptor(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  signal(SIGPIPE, SIG_IGN);
  int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (error != 0) return -error;
  return (int)result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int clinux_read_signal(int fd) {
  struct signalfd_siginfo info;
  long count = read(fd, &info, sizeof info);
  if (count < 0) return -errno;
  return count == sizeof info ? (int)info.ssi_signo : -EBADMSG;
}
