/*
 * Measures how soon a real uevent arrives: `uevent COUNT STREAM`; STREAM is a stream of eventfs
 * with the source kernel, or `-`. It takes COUNT times for each of two receivers, a bare netlink
 * listener and a reader blocked in read(2) of STREAM: from just before the write to
 * /sys/class/mem/null/uevent until the receiver's read returns. The receivers take turns in blocks,
 * one alive at a time, so that neither wakes the other.
 */
#include "common.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#define UEVENT_FILE "/sys/class/mem/null/uevent"
#define KERNEL_GROUP 1
#define BLOCK_COUNT 50
#define WARM_UP_COUNT 5 /* Not counted: a receiver takes page faults after fork(2). */
#define COUNT_MOST 100000l
#define ARRIVAL_MOST_NS (2 * NS_PER_S)
#define READY_MOST_NS (5 * NS_PER_S)
#define LIMIT_S 300
#define UUID_KEY "SYNTH_UUID="
#define UUID_FORMAT "%08x-0000-0000-0000-%012x" /* The writer, and the index of the event. */
#define UUID_BYTES 36
#define UUID_INDEX_AT 24

/* A block, shared with its receiver. Times are CLOCK_MONOTONIC nanoseconds; 0 is not yet. */
struct block {
  volatile bool ready;
  unsigned writer; /* It is in the UUIDs, and tells these events from other synthetic ones. */
  unsigned first_index;
  unsigned count;
  volatile uint64_t sent_ns[BLOCK_COUNT + WARM_UP_COUNT];
  volatile uint64_t arrived_ns[BLOCK_COUNT + WARM_UP_COUNT];
};

/* --- the receivers --- */

static void note_arrival(struct block *block, const char *uuid, uint64_t arrived_ns) {
  char text[UUID_BYTES + 1] = "", expected[UUID_BYTES + 1];
  memcpy(text, uuid, UUID_BYTES);
  unsigned index = (unsigned)strtoul(text + UUID_INDEX_AT, NULL, 16);
  snprintf(expected, sizeof expected, UUID_FORMAT, block->writer, index);
  if (strcmp(text, expected) != 0 || index - block->first_index >= block->count) return;
  block->arrived_ns[index - block->first_index] = arrived_ns;
}

/* Finds the UUIDs in KEY=VALUE texts, which end with NUL on netlink and with a newline in a stream.
 */
static void note_arrivals(struct block *block, const char *text, size_t bytes,
                          uint64_t arrived_ns) {
  const char *end = text + bytes;
  while ((text = memmem(text, (size_t)(end - text), UUID_KEY, strlen(UUID_KEY)))) {
    text += strlen(UUID_KEY);
    if (end - text >= UUID_BYTES) note_arrival(block, text, arrived_ns);
  }
}

__attribute__((noreturn)) static void receive(int fd, struct block *block) {
  static char text[65536];
  block->ready = true;
  for (;;) {
    ssize_t length = read(fd, text, sizeof text);
    uint64_t arrived_ns = now_ns();
    if (length <= 0) die("read: %m");
    note_arrivals(block, text, (size_t)length, arrived_ns);
  }
}

static int open_netlink(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  if (fd < 0) die("socket: %m");
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind: %m");
  return fd;
}

/* Reads the events away that a process directory's .stream has kept. */
static void drain_stream(const char *path) {
  char text[65536];
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) die("%s: %m", path);
  while (read(fd, text, sizeof text) > 0) continue;
  if (errno != EAGAIN) die("%s: read: %m", path);
  close(fd);
}

static int open_stream(const char *path) {
  drain_stream(path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  return fd;
}

/* Forks a receiver (of netlink if `stream` is NULL), and returns when it is blocked. */
static pid_t start_receiver(struct block *block, const char *stream) {
  block->ready = false;
  pid_t receiver = fork_child();
  if (receiver == 0) receive(stream ? open_stream(stream) : open_netlink(), block);
  uint64_t end_ns = now_ns() + READY_MOST_NS;
  while (!block->ready || !is_blocked_in_read(receiver)) {
    expect_children_alive();
    if (now_ns() > end_ns) die("the receiver does not wait after %llu s", READY_MOST_NS / NS_PER_S);
    sleep_ns(100 * NS_PER_US);
  }
  return receiver;
}

/* --- the sender --- */

/* Sleeps 0.5 to 1.5 ms, so that no periodic timer keeps in step. */
static void pause_jittered(void) {
  sleep_ns(NS_PER_MS / 2 + (uint64_t)(rand() % 1000) * NS_PER_US);
}

static void send_uevent(int uevent_fd, struct block *block, unsigned i) {
  char text[64];
  int length =
      snprintf(text, sizeof text, "add " UUID_FORMAT, block->writer, block->first_index + i);
  block->sent_ns[i] = now_ns();
  if (write(uevent_fd, text, (size_t)length) != length) die(UEVENT_FILE ": write: %m");
}

static void await_arrivals(const struct block *block) {
  uint64_t end_ns = now_ns() + ARRIVAL_MOST_NS;
  for (unsigned i = 0; i < block->count; i++)
    while (block->arrived_ns[i] == 0 && now_ns() < end_ns) sleep_ns(NS_PER_MS);
}

/* The latencies of one kind of receiver, over all its blocks. */
struct series {
  const char *stream; /* NULL for netlink. */
  double *latencies_us;
  size_t count, missing;
};

static void run_block(struct series *series, struct block *block, int uevent_fd,
                      unsigned measured) {
  block->first_index += block->count;
  block->count = measured + WARM_UP_COUNT;
  memset((void *)block->arrived_ns, 0, sizeof block->arrived_ns);
  pid_t receiver = start_receiver(block, series->stream);
  for (unsigned i = 0; i < block->count; i++) {
    pause_jittered();
    send_uevent(uevent_fd, block, i);
  }
  await_arrivals(block);
  end_child(receiver);
  for (unsigned i = WARM_UP_COUNT; i < block->count; i++) {
    if (block->arrived_ns[i] == 0) series->missing++;
    else
      series->latencies_us[series->count++] =
          (double)(block->arrived_ns[i] - block->sent_ns[i]) / (double)NS_PER_US;
  }
}

static struct series new_series(const char *stream, long count) {
  struct series series = {.stream = stream, .latencies_us = calloc((size_t)count, sizeof(double))};
  if (!series.latencies_us) die("calloc: %m");
  return series;
}

static double median_us(const struct series *series) {
  return quantile(series->latencies_us, series->count, 0.5);
}

static void print_series(const char *name, const struct series *series) {
  printf("%s_us=%.1f %s_p99_us=%.1f %s_missing=%zu ", name, median_us(series), name,
         quantile(series->latencies_us, series->count, 0.99), name, series->missing);
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: uevent COUNT STREAM|-");
  long count = parse_number(argv[1], "COUNT", 1, COUNT_MOST);
  const char *stream = strcmp(argv[2], "-") == 0 ? NULL : argv[2];
  limit_time(LIMIT_S);
  int uevent_fd = open(UEVENT_FILE, O_WRONLY | O_CLOEXEC);
  if (uevent_fd < 0) die(UEVENT_FILE ": %m");

  struct block *block = map_shared(sizeof *block);
  block->writer = (unsigned)getpid();
  struct series netlink = new_series(NULL, count), streamed = new_series(stream, count);
  for (long left = count; left > 0; left -= BLOCK_COUNT) {
    unsigned measured = left < BLOCK_COUNT ? (unsigned)left : BLOCK_COUNT;
    run_block(&netlink, block, uevent_fd, measured);
    if (stream) run_block(&streamed, block, uevent_fd, measured);
  }

  sort_doubles(netlink.latencies_us, netlink.count);
  sort_doubles(streamed.latencies_us, streamed.count);
  print_series("netlink", &netlink);
  if (stream) print_series("stream", &streamed);
  if (stream) printf("ratio=%.3f ", median_us(&streamed) / median_us(&netlink));
  printf("count=%ld\n", count);
  return 0;
}
