/* A subscriber: the code that all modes share, and the modes that read a stream of eventfs. */
#include "subscriber.h"

static void note_arrival(struct order *order, const char *record) {
  struct subscriber *subscriber = (struct subscriber *)order;
  histogram_add(&subscriber->shared->latencies, subscriber->arrived_ns - stamp_of(record));
}

ssize_t read_again(int fd, void *buffer, size_t bytes) {
  ssize_t length;
  do length = read(fd, buffer, bytes);
  while (length < 0 && errno == EINTR);
  return length;
}

void say_ready(struct subscriber *subscriber) {
  subscriber->order.arrived = note_arrival;
  subscriber->order.tally->ready = true;
}

static void publish_progress(struct subscriber *subscriber) {
  for (size_t i = 0; i < PUBLISHERS_MOST; i++)
    subscriber->shared->next_number[i] = subscriber->order.next_number[i];
}

void count_missing(struct subscriber *subscriber, uint64_t missing) {
  subscriber->order.lost += missing;
  subscriber->order.tally->lost += missing;
}

/* Learns the losses before an event is checked, if more events are missing than were counted. */
static void look_for_losses(struct subscriber *subscriber, const char *text) {
  uint32_t number = parse_digits(text + RECORD_HEAD_BYTES);
  uint32_t next = subscriber->order.next_number[number / NUMBERS_EACH % PUBLISHERS_MOST];
  uint64_t missing = (number % NUMBERS_EACH + NUMBERS_EACH - next) % NUMBERS_EACH;
  if (missing > NUMBERS_EACH / 2) return; /* An older event: check_number counts the disorder. */
  if (missing > subscriber->order.lost) subscriber->learn_losses(subscriber, missing);
}

void take_event(struct subscriber *subscriber, const char *text, size_t bytes) {
  struct tally *tally = subscriber->order.tally;
  tally->reads++;
  tally->bytes += bytes;
  /* Compares the first line without its end, which is NUL on netlink. */
  bool is_event = bytes > STAMP_AT + STAMP_DIGITS &&
                  memcmp(text, RECORD_FIRST_LINE, sizeof RECORD_FIRST_LINE - 2) == 0;
  if (is_event) {
    if (subscriber->learn_losses) look_for_losses(subscriber, text);
    check_number(&subscriber->order, parse_digits(text + RECORD_HEAD_BYTES));
    note_arrival(&subscriber->order, text);
  } else {
    check_record(&subscriber->order, text, bytes);
  }
  publish_progress(subscriber);
}

void follow(struct subscriber *subscriber, int fd) {
  static char buffer[RECORD_BYTES_MOST + READ_BYTES];
  struct tally *tally = subscriber->order.tally;
  say_ready(subscriber);
  for (size_t kept = 0;;) {
    ssize_t length = read_again(fd, buffer + kept, READ_BYTES);
    subscriber->arrived_ns = now_ns();
    if (length <= 0) die("read: %s", length < 0 ? strerror(errno) : "end of file");
    tally->reads++;
    tally->bytes += (uint64_t)length;
    size_t bytes = kept + (size_t)length;
    kept = check_records(&subscriber->order, buffer, bytes);
    if (kept > RECORD_BYTES_MOST) die("a record without an end");
    if (kept > 0) memmove(buffer, buffer + bytes - kept, kept);
    publish_progress(subscriber);
  }
}

static int open_to_read(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  return fd;
}

/* Mode of eventfs: reads `stream`, by a cursor of its own. */
void follow_stream(struct subscriber *subscriber) {
  char path[PATH_MAX];
  print_path(path, "%s/stream", subscriber->place);
  follow(subscriber, open_to_read(path));
}

/* Mode of eventfs: reads `.stream` of its own process directory. */
void follow_own_stream(struct subscriber *subscriber) {
  char path[PATH_MAX];
  make_directory(subscriber);
  print_path(path, "%s/%d/.stream", subscriber->place, (int)getpid());
  follow(subscriber, open_to_read(path));
}
