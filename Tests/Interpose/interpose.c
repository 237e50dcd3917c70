// Preloaded into a process under test (LD_PRELOAD): counts what takes memory, and flips one byte of what was received
// just before BLAS reads it. Counters and orders lie in the file that APUS_INTERPOSE names, which the test maps too.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// The words of the file; ExactTests/Interposer.swift has the same.
enum { MALLOC, CALLOC, REALLOC, ALIGNED, MMAP, ARMED, OFFSET, RECEIVED, FLIPPED, OPENSSL, WORDS };

// Until the file is mapped, and where there is none.
static _Atomic uint64_t unseen[WORDS];
static _Atomic uint64_t *words = unseen;

// Where OpenSSL's two libraries lie: what they take is not our code's, and is counted apart.
static uintptr_t openssl_begin[2], openssl_end[2];

static int find_openssl(struct dl_phdr_info *object, size_t size, void *found) {
  (void)size;
  int *libraries = found;
  if (strstr(object->dlpi_name, "libcrypto.so") == NULL && strstr(object->dlpi_name, "libssl.so") == NULL) return 0;
  for (int i = 0; i < object->dlpi_phnum && *libraries < 2; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0) continue;
    openssl_begin[*libraries] = object->dlpi_addr + part->p_vaddr;
    openssl_end[*libraries] = object->dlpi_addr + part->p_vaddr + part->p_memsz;
    *libraries += 1;
  }
  return 0;
}

static void count_of(int word, const void *caller) {
  uintptr_t place = (uintptr_t)caller;
  for (int i = 0; i < 2; i++) {
    if (place >= openssl_begin[i] && place < openssl_end[i]) word = OPENSSL;
  }
  atomic_fetch_add_explicit(&words[word], 1, memory_order_relaxed);
}

#define count(word) count_of(word, __builtin_return_address(0))

// glibc's own names for its allocator: looking the real functions up with dlsym would allocate.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t bytes) {
  count(MALLOC);
  return __libc_malloc(bytes);
}

void *calloc(size_t elements, size_t bytes) {
  count(CALLOC);
  return __libc_calloc(elements, bytes);
}

void *realloc(void *memory, size_t bytes) {
  count(REALLOC);
  return __libc_realloc(memory, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
  count(ALIGNED);
  return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
  count(ALIGNED);
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
  count(ALIGNED);
  if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  void *taken = __libc_memalign(alignment, bytes);
  if (taken == NULL) return ENOMEM;
  *memory = taken;
  return 0;
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  count(MMAP);
  return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off64_t offset) {
  count(MMAP);
  return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

// Where the first byte after arming was received; later receives go on behind it.
static _Atomic(char *) first;

ssize_t recv(int fd, void *buffer, size_t bytes, int flags) {
  ssize_t received = syscall(SYS_recvfrom, fd, buffer, bytes, flags, NULL, NULL);
  if (received > 0 && words[ARMED]) {
    if (first == NULL) first = buffer;
    words[RECEIVED] += (uint64_t)received;
  }
  return received;
}

// Flips the top bit of the byte that the test has chosen, once it is received.
static void flip(void) {
  char *start = first;
  if (!words[ARMED] || start == NULL || words[RECEIVED] <= words[OFFSET]) return;
  start[words[OFFSET]] ^= (char)0x80;
  first = NULL;
  words[ARMED] = 0;
  words[FLIPPED] += 1;
}

typedef void sgemv_function(int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
typedef void sgemm_function(
    int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
static sgemv_function *real_sgemv;
static sgemm_function *real_sgemm;

void cblas_sgemv(
    int order, int transposed, int rows, int columns, float alpha, const float *a, int lda, const float *x, int incx,
    float beta, float *y, int incy) {
  flip();
  real_sgemv(order, transposed, rows, columns, alpha, a, lda, x, incx, beta, y, incy);
}

void cblas_sgemm(
    int order, int transposed_a, int transposed_b, int rows, int columns, int inner, float alpha, const float *a,
    int lda, const float *b, int ldb, float beta, float *c, int ldc) {
  flip();
  real_sgemm(order, transposed_a, transposed_b, rows, columns, inner, alpha, a, lda, b, ldb, beta, c, ldc);
}

__attribute__((constructor)) static void start(void) {
  int libraries = 0;
  dl_iterate_phdr(find_openssl, &libraries);
  real_sgemv = (sgemv_function *)dlsym(RTLD_NEXT, "cblas_sgemv");
  real_sgemm = (sgemm_function *)dlsym(RTLD_NEXT, "cblas_sgemm");
  const char *path = getenv("APUS_INTERPOSE");
  int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *mapped = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) words = mapped;
}
