/*
 * io_uring(7) by its system calls, for stream-calls.c: a ring, whose requests have tags, 0 to 255.
 *
 *   ring 0                          makes a ring with these IORING_SETUP_ flags; closes the old one
 *   ring_read 7 3 4096 0 0          a READ of slot 3 with tag 7: 4096 bytes at offset 0, IOSQE_
 *                                   flags 0
 *   ring_wait 7 1000                -> "24 hello": the result of tag 7; or "-ETIME" after 1000 ms
 */
#ifndef URING_H
#define URING_H

#include <linux/io_uring.h>
#include <stdbool.h>

/* BUFFER_AT is the offset of a buffer in its first page: buffers are not aligned to pages. */
enum { RING_ENTRIES = 64, MOST_TAGS = 256, BUFFER_AT = 16 };

/* The ring of this thread. */
static _Thread_local struct {
  bool is_open;
  int fd;
  struct io_uring_params params;
  char *sq;
  char *cq;
  struct io_uring_sqe *sqes;
  size_t sq_bytes;
  size_t cq_bytes;
} ring;

/* The requests by tag. */
static _Thread_local struct {
  char *bytes;
  struct iovec *parts;
  bool is_done;
  int result;
} asked[MOST_TAGS];

static uint32_t *ring_word(char *base, uint32_t offset) { return (uint32_t *)(base + offset); }

static void close_ring(void) {
  if (!ring.is_open) return;
  munmap(ring.sq, ring.sq_bytes);
  munmap(ring.cq, ring.cq_bytes);
  munmap(ring.sqes, RING_ENTRIES * sizeof *ring.sqes);
  close(ring.fd);
  ring.is_open = false;
}

/* ring <flags> */
static long open_ring(uint32_t flags) {
  close_ring();
  memset(&ring.params, 0, sizeof ring.params);
  ring.params.flags = flags;
  ring.params.sq_thread_idle = 1000;
  ring.fd = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &ring.params);
  if (ring.fd < 0) return -1;
  const struct io_uring_params *params = &ring.params;
  ring.sq_bytes = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
  ring.cq_bytes = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
  ring.sq =
      mmap(NULL, ring.sq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
  ring.cq =
      mmap(NULL, ring.cq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
  ring.sqes = mmap(NULL, RING_ENTRIES * sizeof *ring.sqes, PROT_READ | PROT_WRITE, MAP_SHARED,
                   ring.fd, IORING_OFF_SQES);
  ring.is_open = true;
  return ring.sq == MAP_FAILED || ring.cq == MAP_FAILED || ring.sqes == MAP_FAILED ? -1 : 0;
}

/* Returns the next entry, for a request that goes into the ring with the others by `submit`. */
static struct io_uring_sqe *next_entry(uint8_t opcode, long long tag) {
  uint32_t *tail = ring_word(ring.sq, ring.params.sq_off.tail);
  uint32_t index = *tail & *ring_word(ring.sq, ring.params.sq_off.ring_mask);
  ring_word(ring.sq, ring.params.sq_off.array)[index] = index;
  struct io_uring_sqe *entry = &ring.sqes[index];
  memset(entry, 0, sizeof *entry);
  entry->opcode = opcode;
  entry->user_data = (uint64_t)tag & (MOST_TAGS - 1);
  asked[entry->user_data].is_done = false;
  return entry;
}

static void push_entry(void) {
  uint32_t *tail = ring_word(ring.sq, ring.params.sq_off.tail);
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

static long enter_ring(uint32_t count, uint32_t flags) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  bool sleeps = __atomic_load_n(ring_word(ring.sq, ring.params.sq_off.flags), __ATOMIC_RELAXED) &
                IORING_SQ_NEED_WAKEUP;
  return syscall(SYS_io_uring_enter, ring.fd, count, 0,
                 flags | (sleeps ? IORING_ENTER_SQ_WAKEUP : 0), NULL, 0);
}

/* Returns a new buffer of a tag. */
static char *buffer_for(long long tag, size_t size) {
  tag &= MOST_TAGS - 1;
  free(asked[tag].bytes);
  asked[tag].bytes = aligned_alloc(4096, (size + BUFFER_AT + 4095) & ~(size_t)4095);
  return asked[tag].bytes + BUFFER_AT;
}

/* Submits a READ of the next bytes of a file. */
static long ring_read_of(long long tag, int file, size_t size) {
  struct io_uring_sqe *entry = next_entry(IORING_OP_READ, tag);
  entry->fd = file;
  entry->addr = (uintptr_t)buffer_for(tag, size);
  entry->len = (uint32_t)size;
  push_entry();
  return enter_ring(1, 0);
}

/* @param first the index of the word with the slot; size and offset follow */
static struct io_uring_sqe *read_entry(uint8_t opcode, long long tag, int first) {
  struct io_uring_sqe *entry = next_entry(opcode, tag);
  entry->fd = fd(first);
  entry->addr = (uintptr_t)buffer_for(tag, (size_t)number(first + 1));
  entry->len = (uint32_t)number(first + 1);
  entry->off = (uint64_t)number(first + 2);
  return entry;
}

/* ring_read <tag> <slot> <size> <offset> <flags> */
static long ring_read(void) {
  read_entry(IORING_OP_READ, number(1), 2)->flags = (uint8_t)number(5);
  push_entry();
  return enter_ring(1, 0);
}

/*
 * ring_reads <tag> <slot> <size> <offset> <count>: `count` READs by one system call, with tags from
 * the first on
 */
static long ring_reads(void) {
  for (long long i = 0; i < number(5); i++) {
    read_entry(IORING_OP_READ, number(1) + i, 2);
    push_entry();
  }
  return enter_ring((uint32_t)number(5), 0);
}

/* ring_readv <tag> <slot> <size> <offset> <parts>: READV into `parts` parts of `size` bytes */
static long ring_readv(void) {
  size_t size = (size_t)number(3), count = (size_t)number(5);
  long long tag = number(1) & (MOST_TAGS - 1);
  struct io_uring_sqe *entry = next_entry(IORING_OP_READV, tag);
  char *to = buffer_for(tag, size * count);
  free(asked[tag].parts);
  asked[tag].parts = calloc(count, sizeof(struct iovec));
  for (size_t i = 0; i < count; i++) asked[tag].parts[i] = (struct iovec){to + i * size, size};
  entry->fd = fd(2);
  entry->addr = (uintptr_t)asked[tag].parts;
  entry->len = (uint32_t)count;
  entry->off = (uint64_t)number(4);
  push_entry();
  return enter_ring(1, 0);
}

/*
 * ring_fixed <tag> <slot> <size> <offset>: READ_FIXED, of a registered file into a registered
 * buffer
 */
static long ring_fixed(void) {
  struct io_uring_sqe *entry = read_entry(IORING_OP_READ_FIXED, number(1), 2);
  struct iovec buffer = {(void *)(uintptr_t)entry->addr, entry->len};
  syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
  syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_FILES, NULL, 0);
  if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1) < 0) return -1;
  if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &entry->fd, 1) < 0) return -1;
  entry->fd = 0;
  entry->flags = IOSQE_FIXED_FILE;
  push_entry();
  return enter_ring(1, 0);
}

/* ring_poll <tag> <slot> <events>: POLL_ADD */
static long ring_poll(void) {
  struct io_uring_sqe *entry = next_entry(IORING_OP_POLL_ADD, number(1));
  entry->fd = fd(2);
  entry->poll32_events = (uint32_t)number(3);
  push_entry();
  return enter_ring(1, 0);
}

/* ring_cancel <tag> <tag>: ASYNC_CANCEL of the second tag, with the first tag as its own */
static long ring_cancel(void) {
  struct io_uring_sqe *entry = next_entry(IORING_OP_ASYNC_CANCEL, number(1));
  entry->addr = (uint64_t)number(2);
  push_entry();
  return enter_ring(1, 0);
}

static void reap_ring(void) {
  uint32_t *head = ring_word(ring.cq, ring.params.cq_off.head);
  uint32_t *tail = ring_word(ring.cq, ring.params.cq_off.tail);
  uint32_t mask = *ring_word(ring.cq, ring.params.cq_off.ring_mask);
  const struct io_uring_cqe *cqes =
      (const struct io_uring_cqe *)(ring.cq + ring.params.cq_off.cqes);
  for (; *head != __atomic_load_n(tail, __ATOMIC_ACQUIRE);
       __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE)) {
    const struct io_uring_cqe *cqe = &cqes[*head & mask];
    asked[cqe->user_data].is_done = true;
    asked[cqe->user_data].result = cqe->res;
  }
}

/* ring_wait <tag> <ms> */
static void do_ring_wait(void) {
  long long tag = number(1) & (MOST_TAGS - 1);
  for (long long left = number(2); reap_ring(), !asked[tag].is_done; left--) {
    if (left <= 0) {
      errno = ETIME;
      answer(-1);
      return;
    }
    enter_ring(0, IORING_ENTER_GETEVENTS);
    reap_ring();
    if (!asked[tag].is_done) usleep(1000);
  }
  int result = asked[tag].result;
  if (result > 0 && result <= MOST_BYTES && asked[tag].bytes != NULL)
    memcpy(bytes, asked[tag].bytes + BUFFER_AT, (size_t)result);
  errno = result < 0 ? -result : 0;
  answer_bytes(result < 0 ? -1 : result);
}

#endif
