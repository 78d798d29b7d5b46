/* The publishers: programs, and the kernel. */
#ifndef PROGRAMS_HISTORY_PUBLISHING_H
#define PROGRAMS_HISTORY_PUBLISHING_H

#include "lines.h"

enum { EVENT_BYTES = 1024, MOST_BURST = 64 };

/* The keys are those of a uevent that a user has the kernel send. */
#define EVENT_FORMAT                                                               \
  "change@/devices/history\nACTION=change\nSUBSYSTEM=history\nSYNTH_ARG_HID=%ld\n" \
  "SYNTH_ARG_HN=%llu\nPADDING=%.*s\n\n"

static const char padding[] =
    "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
    "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
    "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp";

/* Counts the whole records in a part of a text. */
static inline long count_records(const char *text, size_t bytes) {
  long count = 0;
  for (const char *at = text, *end = text + bytes;
       (at = memmem(at, (size_t)(end - at), "\n\n", 2)) != NULL; at += 2)
    count++;
  return count;
}

/*
 * Publishes `burst` events with one write(2), or with more if that takes fewer. The numbers go on
 * after an error: the line says which events it concerned.
 */
static inline void publish_some(struct history *history, int fd, long id, uint64_t *n, long burst) {
  static char text[MOST_BURST * EVENT_BYTES];
  size_t bytes = 0;
  for (long i = 0; i < burst; i++) {
    uint64_t number = *n + (uint64_t)i;
    bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, EVENT_FORMAT, id,
                              (unsigned long long)number, (int)(number * 7919 % 256), padding);
  }
  for (size_t done = 0; done < bytes;) {
    uint64_t began = now_ns();
    long written = result_of(write(fd, text + done, bytes - done));
    long whole = count_records(text + done, written > 0 ? (size_t)written : bytes - done);
    record(history, began, "publish", written, "%ld %llu %ld", id, (unsigned long long)*n, whole);
    *n += (uint64_t)whole;
    if (written < 0) sleep_ns(10 * NS_PER_MS);
    done += written > 0 ? (size_t)written : bytes - done;
  }
}

/* Begins a publisher's history, and opens `publish`. */
static inline int open_publisher(struct history *history, const char *out, long id) {
  char name[64], path[PATH_MAX];
  snprintf(name, sizeof name, "publish-%ld", id);
  *history = history_open(out, name, "publish");
  int fd = open(below_mount(path, "publish"), O_WRONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  return fd;
}

/*
 * Publishes `rate` events a second, `burst` of them at once, until SIGTERM, or `count` of them if
 * that is not 0; then it waits for SIGTERM.
 */
static inline int publish(const char *out, long id, uint64_t rate, long burst, uint64_t count) {
  struct history history;
  int fd = open_publisher(&history, out, id);
  tell_ready();
  uint64_t start = now_ns(), n = 0;
  while (!finishing && (count == 0 || n < count)) {
    publish_some(&history, fd, id, &n, burst);
    keep_pace(start, n, rate);
  }
  if (!finishing && write(STDOUT_FILENO, "done\n", 5) != 5) die("standard output: %m");
  while (!finishing) pause();
  close(fd);
  return 0;
}

/* Makes the kernel send `rate` uevents a second, until SIGTERM. */
static inline int send_uevents(const char *out, long id, uint64_t rate) {
  char name[64], text[256];
  snprintf(name, sizeof name, "send-%ld", id);
  struct history history = history_open(out, name, "send");
  int fd = open("/sys/class/mem/null/uevent", O_WRONLY | O_CLOEXEC);
  if (fd < 0) die("/sys/class/mem/null/uevent: %m");
  tell_ready();
  uint64_t start = now_ns();
  for (uint64_t n = 0; !finishing; n++) {
    int length =
        snprintf(text, sizeof text, "change 11111111-2222-3333-4444-555555555555 HID=%ld HN=%llu",
                 id, (unsigned long long)n);
    uint64_t began = now_ns();
    long written = result_of(write(fd, text, (size_t)length));
    record(&history, began, "send", written, "%ld %llu 1", id, (unsigned long long)n);
    keep_pace(start, n + 1, rate);
  }
  close(fd);
  return 0;
}

#endif
