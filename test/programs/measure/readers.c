/*
 * Fan-out: `readers PATH N SECONDS BYTES [--publish PUBLISHPATH [--publishers K] [--batch M |
 * --lock-step]] [--read R] [--pause US]` starts N processes that block in read(2), each on its own
 * open file of PATH, and counts the events that they get. They read at most R bytes at once and
 * sleep US microseconds after each read.
 *
 * With --publish, K further processes (1 by default) publish as fast as they can, M events a write.
 * Every reader checks that it gets the numbers of each publisher in order, and that no more are
 * missing than `overflow@/eventfs` records state. A loss of other events would look like disorder:
 * mount with --source none.
 *
 * With --lock-step, the next event is published when every reader has got the last one and reads
 * again, so that each read of each blocked reader returns exactly one event.
 */
#include "lockstep-gate.h"
#include "order.h"
#include <getopt.h>

#define LIMIT_MARGIN_S 30

static size_t read_some(int fd, char *buffer, size_t most, struct tally *tally) {
  ssize_t length = read(fd, buffer, most);
  if (length < 0) die("read: %m");
  if (length == 0) die("read: end of file");
  tally->reads++;
  tally->bytes += (uint64_t)length;
  return (size_t)length;
}

#define READ_BYTES_MOST (1024l * 1024)
#define BATCH_MOST 1024

struct arguments {
  const char *path, *publish_path;
  long readers, seconds, publishers, batch, pause_us;
  size_t record_bytes, read_bytes;
  bool lock_step;
  struct lockstep_gate *gate; /* in lock step only */
};

__attribute__((noreturn)) static void read_stream(const struct arguments *arguments,
                                                  struct tally *tally, bool check) {
  static char buffer[RECORD_BYTES_MOST + READ_BYTES_MOST];
  const char *path = arguments->path;
  size_t record_bytes = arguments->record_bytes;
  struct order order = {.tally = tally, .record_bytes = record_bytes};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  tally->ready = true;
  size_t kept = 0;
  if (arguments->gate) lockstep_gate_pass(arguments->gate, 1);
  for (;;) {
    size_t bytes = kept + read_some(fd, buffer + kept, arguments->read_bytes, tally);
    if (arguments->pause_us > 0) sleep_ns((uint64_t)arguments->pause_us * NS_PER_US);
    if (!check) continue;
    uint64_t events = tally->events;
    kept = check_records(&order, buffer, bytes);
    events = tally->events - events;
    if (events == 1) tally->single_reads++;
    if (arguments->gate) lockstep_gate_pass(arguments->gate, (uint32_t)events);
    if (kept > RECORD_BYTES_MOST) die("a record without an end");
    if (kept > 0) memmove(buffer, buffer + bytes - kept, kept);
  }
}

__attribute__((noreturn)) static void publish(const struct arguments *arguments,
                                              struct tally *tally, uint32_t place) {
  size_t record_bytes = arguments->record_bytes, count = (size_t)arguments->batch;
  char *records = malloc(count * record_bytes);
  if (!records) die("malloc: %m");
  for (size_t i = 0; i < count; i++)
    memcpy(records + i * record_bytes, record_new(record_bytes), record_bytes);
  /* The stream adds the empty line of a single one */
  size_t bytes = count * record_bytes - (count == 1);
  int fd = open(arguments->publish_path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", arguments->publish_path);
  for (uint32_t number = 0;;) {
    if (arguments->gate) lockstep_gate_await_and_close(arguments->gate);
    for (size_t i = 0; i < count; i++, number = (number + 1) % NUMBERS_EACH)
      record_set_number(records + i * record_bytes, place * NUMBERS_EACH + number);
    for (size_t done = 0; done < bytes;) { /* one write takes a limited number of records */
      ssize_t taken = write(fd, records + done, bytes - done);
      if (taken <= 0) die("%s: write: %m", arguments->publish_path);
      done += (size_t)taken;
    }
    tally->events += count;
  }
}

static void sleep_watchfully(long seconds) {
  uint64_t end_ns = now_ns() + (uint64_t)seconds * NS_PER_S;
  while (now_ns() < end_ns) {
    expect_children_alive();
    sleep_ns(20 * NS_PER_MS);
  }
}

static struct arguments parse_arguments(int argc, char **argv) {
  static const struct option options[] = {{"publish", required_argument, NULL, 'p'},
                                          {"publishers", required_argument, NULL, 'k'},
                                          {"batch", required_argument, NULL, 'm'},
                                          {"read", required_argument, NULL, 'r'},
                                          {"pause", required_argument, NULL, 's'},
                                          {"lock-step", no_argument, NULL, 'l'},
                                          {0}};
  struct arguments arguments = {.publishers = 1, .batch = 1, .read_bytes = READ_BYTES};
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'p') arguments.publish_path = optarg;
    else if (option == 'k')
      arguments.publishers = parse_number(optarg, "--publishers", 1, PUBLISHERS_MOST);
    else if (option == 'm') arguments.batch = parse_number(optarg, "--batch", 1, BATCH_MOST);
    else if (option == 'r')
      arguments.read_bytes = (size_t)parse_number(optarg, "--read", 1, READ_BYTES_MOST);
    else if (option == 's') arguments.pause_us = parse_number(optarg, "--pause", 0, 1000000);
    else if (option == 'l') arguments.lock_step = true;
    else _exit(1); /* getopt has printed the error */
  }
  if (argc - optind != 4)
    die("usage: readers PATH N SECONDS BYTES [--publish PUBLISHPATH [--publishers K] [--batch M | "
        "--lock-step]] [--read R] [--pause US]");
  if (arguments.lock_step &&
      (!arguments.publish_path || arguments.publishers != 1 || arguments.batch != 1))
    die("--lock-step takes --publish, one publisher and one event a write");
  arguments.path = argv[optind];
  arguments.readers = parse_number(argv[optind + 1], "N", 1, TALLIES_MOST);
  arguments.seconds = parse_number(argv[optind + 2], "SECONDS", 1, 3600);
  arguments.record_bytes = (size_t)parse_record_bytes(argv[optind + 3]);
  return arguments;
}

int main(int argc, char **argv) {
  struct arguments arguments = parse_arguments(argc, argv);
  size_t count = (size_t)arguments.readers;
  bool check = arguments.publish_path != NULL;
  limit_time((unsigned)arguments.seconds + LIMIT_MARGIN_S);

  size_t publishers = check ? (size_t)arguments.publishers : 0;
  struct tally *tallies = map_tallies(count), *published = map_tallies(PUBLISHERS_MOST);
  if (arguments.lock_step) arguments.gate = lockstep_gate_new((uint32_t)count);
  pid_t children[TALLIES_MOST], publishing[PUBLISHERS_MOST];
  for (size_t i = 0; i < count; i++)
    if ((children[i] = fork_child()) == 0) read_stream(&arguments, &tallies[i], check);
  await_tallies(tallies, count);
  for (size_t i = 0; i < publishers; i++)
    if ((publishing[i] = fork_child()) == 0) publish(&arguments, &published[i], (uint32_t)i);

  struct totals before = sum_tallies(tallies, count);
  uint64_t published_before = sum_tallies(published, publishers).events;
  sleep_watchfully(arguments.seconds);
  struct totals after = sum_tallies(tallies, count);
  uint64_t published_after = sum_tallies(published, publishers).events;

  for (size_t i = 0; i < publishers; i++) end_child(publishing[i]);
  for (size_t i = 0; i < count; i++) end_child(children[i]);
  double elapsed_s = seconds_between(before, after);
  uint64_t events =
      check ? after.events - before.events : (after.bytes - before.bytes) / arguments.record_bytes;
  uint64_t reads = after.reads - before.reads;
  printf(
      "reads_per_s=%.0f events_per_s=%.0f readers=%zu publishers=%zu seconds=%.3f "
      "published_per_s=%.0f single_reads=%.4f lost=%llu disorder=%llu\n",
      (double)reads / elapsed_s, (double)events / elapsed_s, count, publishers, elapsed_s,
      (double)(published_after - published_before) / elapsed_s,
      reads > 0 ? (double)(after.single_reads - before.single_reads) / (double)reads : 0,
      (unsigned long long)after.lost, (unsigned long long)after.disorder);
  return 0;
}
