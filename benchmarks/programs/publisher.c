/*
 * The publisher of every design. `publisher BYTES PLACE file PATH` writes each event to PATH,
 * `publish` of eventfs. `publisher BYTES PLACE links EVENTS FIFODIR` is the event manager itself,
 * as vdev's event-put and s6-ftrig-notify are together: it writes EVENTS/global/<NUMBER>, links it
 * into every directory of EVENTS, unlinks it, and writes a byte into every FIFO of FIFODIR. PLACE
 * tells the numbers of several publishers apart (test/programs/shared/order.h). It obeys these
 * commands:
 *
 *   flood MS MOST      publishes for MS as fast as it can, at most MOST
 *   rate PER_S COUNT   publishes COUNT at an even rate
 *   burst COUNT        publishes COUNT at once
 *
 * Each answers with the totals so far: `published=<numbers used> failed=<of them> cpu_ns=<time>`.
 */
#include "commands.h"
#include "order.h"
#include "stamp.h"

#include <dirent.h>
#include <limits.h>

#define LIMIT_S 1800
#define NAME_FORMAT "%08u"

struct publisher {
  char *record;
  size_t text_bytes; /* The record without the empty line. */
  uint32_t place, next;
  uint64_t failed; /* Numbers that no subscriber can get: the system had no room. */
  bool (*put)(struct publisher *publisher, uint32_t number);
  int fd;
  const char *events, *fifodir;
};

static bool put_file(struct publisher *publisher, uint32_t number) {
  (void)number;
  ssize_t written = write(publisher->fd, publisher->record, publisher->text_bytes);
  if (written < 0 && errno != ENOSPC && errno != EDQUOT && errno != ENOMEM) die("publish: %m");
  return written == (ssize_t)publisher->text_bytes;
}

static bool is_shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* Writes a byte into every FIFO, and removes a FIFO without a reader, as s6-ftrig-notify does. */
static void notify_fifos(const char *fifodir) {
  DIR *directory = opendir(fifodir);
  if (!directory) die("%s: %m", fifodir);
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (!is_shown(entry)) continue;
    int fd = openat(dirfd(directory), entry->d_name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
      if (errno == ENXIO) unlinkat(dirfd(directory), entry->d_name, 0);
      continue;
    }
    if (write(fd, "c", 1) < 0 && errno != EAGAIN && errno != EPIPE)
      die("%s: write: %m", entry->d_name);
    close(fd);
  }
  closedir(directory);
}

/* Links `from` into every directory of `events` except `global`, which holds it. */
static bool link_everywhere(const char *events, const char *from, const char *name) {
  DIR *directory = opendir(events);
  if (!directory) die("%s: %m", events);
  bool complete = true;
  for (struct dirent *entry; (entry = readdir(directory));) {
    char to[PATH_MAX];
    if (!is_shown(entry) || entry->d_type != DT_DIR || strcmp(entry->d_name, "global") == 0)
      continue;
    snprintf(to, sizeof to, "%s/%s", entry->d_name, name);
    /* ENOENT: a cleaner has removed the directory. */
    if (linkat(AT_FDCWD, from, dirfd(directory), to, 0) == 0 || errno == ENOENT) continue;
    if (errno != ENOSPC && errno != EMLINK) die("link %s: %m", to);
    complete = false;
  }
  closedir(directory);
  return complete;
}

static bool put_links(struct publisher *publisher, uint32_t number) {
  char name[32], path[PATH_MAX];
  snprintf(name, sizeof name, NAME_FORMAT, number);
  if (snprintf(path, sizeof path, "%s/global/%s", publisher->events, name) >= (int)sizeof path)
    die("path too long");
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno != ENOSPC) die("%s: %m", path);
  if (fd < 0) return false;
  ssize_t written = write(fd, publisher->record, publisher->text_bytes);
  bool complete =
      written == (ssize_t)publisher->text_bytes && link_everywhere(publisher->events, path, name);
  if (unlink(path) != 0) die("unlink %s: %m", path);
  close(fd);
  notify_fifos(publisher->fifodir);
  return complete;
}

static void publish(struct publisher *publisher) {
  uint32_t number = publisher->place * NUMBERS_EACH + publisher->next;
  record_set_number(publisher->record, number);
  stamp_record(publisher->record, now_ns());
  if (!publisher->put(publisher, number)) publisher->failed++;
  if (++publisher->next == NUMBERS_EACH) die("out of numbers");
}

static void flood(struct publisher *publisher, uint64_t ns, long long most) {
  for (uint64_t end_ns = now_ns() + ns; most > 0 && now_ns() < end_ns; most--) publish(publisher);
}

static void publish_evenly(struct publisher *publisher, uint64_t per_s, uint64_t count) {
  uint64_t start_ns = now_ns();
  for (uint64_t i = 0; i < count; i++) {
    uint64_t due_ns = start_ns + i * NS_PER_S / per_s, at_ns = now_ns();
    if (due_ns > at_ns) sleep_ns(due_ns - at_ns);
    publish(publisher);
  }
}

static void obey(struct publisher *publisher, const struct command *command) {
  const long long *numbers = command->numbers;
  if (is_verb(command, "flood")) flood(publisher, (uint64_t)numbers[0] * NS_PER_MS, numbers[1]);
  else if (is_verb(command, "rate") && numbers[0] > 0)
    publish_evenly(publisher, (uint64_t)numbers[0], (uint64_t)numbers[1]);
  else if (is_verb(command, "burst"))
    for (long long i = 0; i < numbers[0]; i++) publish(publisher);
  else die("unknown command '%s'", command->verb);
  printf("published=%u failed=%llu cpu_ns=%llu\n", publisher->next,
         (unsigned long long)publisher->failed, (unsigned long long)cpu_ns_of(getpid()));
}

int main(int argc, char **argv) {
  if (argc < 5)
    die("usage: publisher BYTES PLACE file PATH | publisher BYTES PLACE links EVENTS FIFODIR");
  limit_time(LIMIT_S);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_TIMERSLACK, 1000ul);
  signal(SIGPIPE, SIG_IGN);
  size_t bytes = (size_t)parse_number(argv[1], "BYTES", STAMPED_BYTES_LEAST, RECORD_BYTES_MOST);
  struct publisher publisher = {.record = record_new(bytes), .text_bytes = bytes - 1};
  publisher.place = (uint32_t)parse_number(argv[2], "PLACE", 0, PUBLISHERS_MOST - 1);
  if (strcmp(argv[3], "file") == 0) {
    publisher.put = put_file;
    publisher.fd = open(argv[4], O_WRONLY | O_CLOEXEC);
    if (publisher.fd < 0) die("%s: %m", argv[4]);
  } else if (strcmp(argv[3], "links") == 0 && argc == 6) {
    publisher.put = put_links;
    publisher.events = argv[4];
    publisher.fifodir = argv[5];
  } else {
    die("unknown target '%s'", argv[3]);
  }
  puts("ready");
  for (struct command command; next_command(&command);) obey(&publisher, &command);
  return 0;
}
