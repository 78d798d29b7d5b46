/*
 * The lines of a history (docs/testing.md): `START END OPERATION RESULT WORD...`. The times are
 * CLOCK_MONOTONIC in nanoseconds; the result is the call's, or -errno.
 */
#ifndef PROGRAMS_HISTORY_LINES_H
#define PROGRAMS_HISTORY_LINES_H

#include "common.h"
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>

#define LINE_BYTES (256 * 1024)

static const char *mount_path;
static atomic_bool finishing;

/* A file of lines. Each line is one write(2), so that no SIGKILL cuts one. */
struct history {
  int fd;
  char *line;
};

/* Begins the file OUT/NAME.history; `role` says which rules hold for its lines. */
static inline struct history history_open(const char *out, const char *name, const char *role) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s.history", out, name);
  struct history history = {
      .fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644),
      .line = malloc(LINE_BYTES)};
  if (history.fd < 0 || !history.line) die("%s: %m", path);
  if (dprintf(history.fd, "eventfs-history 1 %s\n", role) < 0) die("%s: %m", path);
  return history;
}

/* The result of a call in a line: its value, or -errno. */
static inline long result_of(long value) { return value < 0 ? -errno : value; }

/* Writes a line whose end is now. `format` is of the words behind the result. */
__attribute__((format(printf, 5, 6))) static inline void record(struct history *history,
                                                                uint64_t start,
                                                                const char *operation, long result,
                                                                const char *format, ...) {
  uint64_t end = now_ns();
  int length = snprintf(history->line, LINE_BYTES, "%llu %llu %s %ld ", (unsigned long long)start,
                        (unsigned long long)end, operation, result);
  va_list words;
  va_start(words, format);
  length += vsnprintf(history->line + length, (size_t)(LINE_BYTES - length), format, words);
  va_end(words);
  if (length >= LINE_BYTES) die("a line of the history is too long");
  if (history->line[length - 1] == ' ') length--;
  history->line[length++] = '\n';
  if (write(history->fd, history->line, (size_t)length) != length) die("history: %m");
}

/* Joins a directory and a name below the mount point. */
static inline const char *below_mount(char *path, const char *name) {
  if (snprintf(path, PATH_MAX, "%s/%s", mount_path, name) >= PATH_MAX) die("%s is too long", name);
  return path;
}

static void on_term(int signal_number) {
  (void)signal_number;
  finishing = true;
}

/* Ends by SIGTERM. Without SA_RESTART, so that the signal interrupts a blocked read. */
static inline void until_term(void) {
  struct sigaction action = {.sa_handler = on_term};
  sigaction(SIGTERM, &action, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/*
 * Asks by poll(2) whether a file is ready: 1 if so. SIGTERM interrupts a poll without a timeout
 * too, and then the result says nothing.
 */
static inline long ready_now(int fd) {
  struct pollfd polled = {.fd = fd, .events = POLLIN};
  long ready;
  do ready = result_of(poll(&polled, 1, 0));
  while (ready == -EINTR);
  if (ready <= 0) return ready;
  return polled.revents & POLLERR ? -ESTALE : 1;
}

/* Tells the parent that all files are open. */
static inline void tell_ready(void) {
  if (write(STDOUT_FILENO, "ready\n", 6) != 6) die("standard output: %m");
}

/* Sleeps until `done` operations are due, of `rate` a second since `start`. */
static inline void keep_pace(uint64_t start, uint64_t done, uint64_t rate) {
  uint64_t due = start + done * NS_PER_S / rate, now = now_ns();
  if (due > now + NS_PER_MS / 4) sleep_ns(due - now);
}

/* Writes a filter. The directory is the caller's, so it must succeed. */
static inline void set_filter(const char *directory, const char *filter) {
  char path[PATH_MAX + 16];
  snprintf(path, sizeof path, "%s/.filter", directory);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, filter, strlen(filter)) != (ssize_t)strlen(filter)) die("%s: %m", path);
  close(fd);
}

#endif
