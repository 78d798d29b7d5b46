/* The readers of streams, which write down every event that they get. */
#ifndef PROGRAMS_HISTORY_READING_H
#define PROGRAMS_HISTORY_READING_H

#include "lines.h"
#include <pthread.h>
#include <sys/stat.h>

enum { MOST_READERS = 16, RECORD_BYTES = 128 * 1024 };

/* The items of one read in a line: ID:FIRST-LAST, L:LOST, or X:1 for another event. */
struct items {
  char text[LINE_BYTES / 2];
  size_t length;
  long id;
  long long first, last;
};

static inline void end_range(struct items *items) {
  if (items->id < 0) return;
  char *at = items->text + items->length;
  size_t room = sizeof items->text - items->length;
  if (room < 64) die("one read returned too many events");
  items->length +=
      (size_t)(items->first == items->last
                   ? snprintf(at, room, " %ld:%lld", items->id, items->first)
                   : snprintf(at, room, " %ld:%lld-%lld", items->id, items->first, items->last));
  items->id = -1;
}

static inline void add_item(struct items *items, const char *text, size_t bytes) {
  long long id = find_value(text, bytes, "\nSYNTH_ARG_HID="),
            n = find_value(text, bytes, "\nSYNTH_ARG_HN=");
  if (id >= 0 && id == items->id && n == items->last + 1) {
    items->last = n;
    return;
  }
  end_range(items);
  if (begins_with(text, bytes, "overflow@/eventfs\n"))
    items->length += (size_t)snprintf(items->text + items->length, 64, " L:%lld",
                                      find_value(text, bytes, "\nLOST="));
  else if (id < 0) items->length += (size_t)snprintf(items->text + items->length, 64, " X:1");
  else items->id = id, items->first = items->last = n;
}

struct reading {
  pthread_t thread;
  struct history history;
  const char *path, *ids;
  char queue[64];
  int number, pause_ms;
  atomic_bool ready, ended;
};

/* Takes whole records off the front of `buffer`; returns the number of bytes that are left. */
static inline size_t take_records(struct items *items, char *buffer, size_t length) {
  char *at = buffer;
  for (char *end; (end = memmem(at, (size_t)(buffer + length - at), "\n\n", 2)) != NULL;
       at = end + 2)
    add_item(items, at, (size_t)(end + 1 - at));
  end_range(items);
  size_t left = (size_t)(buffer + length - at);
  memmove(buffer, at, left);
  return left;
}

static inline void *read_to_the_end(void *argument) {
  struct reading *reading = argument;
  struct history *history = &reading->history;
  static const size_t sizes[] = {65536, 4096, 700, 131072};
  size_t size = sizes[reading->number % 4], have = 0;
  bool polls = reading->number % 2 == 1;
  char *buffer = malloc(2 * RECORD_BYTES);
  struct items *items = malloc(sizeof *items);
  if (!buffer || !items) die("malloc: %m");
  unsigned random = (unsigned)reading->number + 1;
  uint64_t began = now_ns();
  int fd = open(reading->path, O_RDONLY | O_CLOEXEC | (polls ? O_NONBLOCK : 0));
  record(history, began, "subscribe", result_of(fd), "%s %d %s", reading->queue, reading->number,
         reading->ids);
  if (fd < 0) die("%s: %m", reading->path);
  reading->ready = true;
  for (bool last = false;;) {
    if (finishing && !last) {
      last = true; /* the rest, and no more */
      began = now_ns();
      long set = result_of(fcntl(fd, F_SETFL, O_NONBLOCK));
      if (set < 0) die("fcntl: %m");
    }
    if (polls && !last) {
      struct pollfd polled = {.fd = fd, .events = POLLIN};
      began = now_ns();
      long ready = result_of(poll(&polled, 1, 1000));
      if (ready > 0 && (polled.revents & POLLERR)) ready = -ESTALE;
      if (ready < 0)
        record(history, began, "poll", ready, "%s %d", reading->queue, reading->number);
      if (ready == 0) continue;
    }
    *items = (struct items){.id = -1};
    began = now_ns();
    long got = result_of(read(fd, buffer + have, size));
    if (got > 0) have = take_records(items, buffer, have + (size_t)got);
    if (have > RECORD_BYTES) die("a record without an end");
    if (got != -EAGAIN || last)
      record(history, began, got == -EAGAIN ? "drain" : "read", got, "%s %d%s", reading->queue,
             reading->number, items->text);
    if (got == -EAGAIN && last) break;
    if (got == -EAGAIN || got == -EINTR) continue;
    if (got <= 0) break;
    if (reading->pause_ms > 0 && !last && rand_r(&random) % 100 == 0)
      usleep((useconds_t)(rand_r(&random) % (unsigned)reading->pause_ms) * 1000);
  }
  free(buffer);
  free(items);
  close(fd);
  reading->ended = true;
  return NULL;
}

static inline void on_nudge(int signal_number) { (void)signal_number; }

/* Starts a reader; returns once its file is open. */
static inline void start_reader(struct reading *reading, const char *out) {
  char name[64];
  snprintf(name, sizeof name, "read-%d-%d", (int)getpid(), reading->number);
  reading->history = history_open(out, name, "read");
  if (pthread_create(&reading->thread, NULL, read_to_the_end, reading) != 0)
    die("pthread_create: %m");
  while (!reading->ready) usleep(1000);
}

/* Waits until a reader has read the rest. */
static inline void end_reader(struct reading *reading) {
  struct sigaction nudge = {.sa_handler = on_nudge};
  sigaction(SIGUSR1, &nudge, NULL);
  while (!reading->ended) {
    /* It may block: another reader has taken the event, or the signal came before the read */
    pthread_kill(reading->thread, SIGUSR1);
    usleep(1000);
  }
  pthread_join(reading->thread, NULL);
}

/*
 * Reads `what`, which is `stream`, `match` or `queue`, in `count` open files. With `queue` these
 * are of one own directory, and share its events. `ids` are the publishers whose events the filter
 * takes, as a pattern: `*`, or `0|2`.
 */
static inline int read_streams(const char *out, const char *what, const char *ids, int count,
                               int pause_ms) {
  static struct reading readings[MOST_READERS];
  char path[PATH_MAX], directory[PATH_MAX], filter[128], name[160];
  bool is_queue = strcmp(what, "queue") == 0;
  snprintf(filter, sizeof filter, "SYNTH_ARG_HID==%.64s\n", strcmp(ids, "*") == 0 ? "?*" : ids);
  if (is_queue) {
    snprintf(name, sizeof name, "%d.reader", (int)getpid());
    if (mkdir(below_mount(directory, name), 0700) != 0) die("%s: %m", directory);
    set_filter(directory, filter);
    snprintf(name, sizeof name, "%d.reader/.stream", (int)getpid());
  } else if (strcmp(what, "match") == 0)
    snprintf(name, sizeof name, "match/%.*s", (int)strcspn(filter, "\n"), filter);
  else snprintf(name, sizeof name, "stream");
  below_mount(path, name);
  for (int i = 0; i < count; i++) {
    struct reading *reading = &readings[i];
    *reading = (struct reading){.path = path, .ids = ids, .number = i, .pause_ms = pause_ms};
    snprintf(reading->queue, sizeof reading->queue, "%s-%d-%d", what, (int)getpid(),
             is_queue ? 0 : i);
    start_reader(reading, out);
  }
  tell_ready();
  while (!finishing) usleep(10000);
  for (int i = 0; i < count; i++) end_reader(&readings[i]);
  return 0;
}

#endif
