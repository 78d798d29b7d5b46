/* Attacks by filters and `.since`: text that is slow to parse, to match, or to apply to the log. */
#ifndef PROGRAMS_HOSTILE_FILTERS_H
#define PROGRAMS_HOSTILE_FILTERS_H

#include "helpers.h"

/*
 * Writes a filter of sets of bytes between stars that match everywhere but at the end: the daemon
 * tries each at every position of a long value of V.
 */
static size_t costly_filter(char *text, size_t bytes) {
  size_t at = 0;
  for (bool first = true; at + 1024 <= bytes || first; first = false) {
    at += (size_t)sprintf(text + at, first ? "V==*" : "|*");
    size_t end = bytes < 1024 ? bytes : at + 1000;
    while (at + 16 < end) at += (size_t)sprintf(text + at, "[ab]");
    at += (size_t)sprintf(text + at, "c*");
  }
  return at;
}

/* Writes many short rules, which take the longest to parse. */
static size_t many_rules(char *text, size_t bytes) {
  for (size_t at = 0; at + 4 <= bytes; at += 4) memcpy(text + at, "A=b\n", 4);
  return bytes / 4 * 4;
}

/* Writes the longest filter, which is quick to match. */
static size_t long_filter(char *text, size_t bytes) {
  memcpy(text, "NONE==", 6);
  memset(text + 6, 'x', bytes - 6);
  return bytes;
}

/* Writes as many values of SUBSYSTEM as fit, which no other filter has. */
static size_t many_subsystems(char *text, size_t bytes) {
  static unsigned long next;
  size_t at = (size_t)sprintf(text, "SUBSYSTEM==%lx", next++);
  while (at + 20 < bytes) at += (size_t)sprintf(text + at, "|%lx", next++);
  return at;
}

/* Writes the largest of the filters that the daemon accepts; returns false if it accepts none. */
static bool set_largest(const char *directory, size_t (*make)(char *, size_t)) {
  static char text[WRITE_BYTES + 4096];
  int fd = open_own(directory, ".filter", O_WRONLY);
  if (fd < 0) return false;
  bool is_set = false;
  for (size_t bytes = WRITE_BYTES; bytes >= 64 && !is_set; bytes /= 2)
    is_set = count(pwrite(fd, text, make(text, bytes), 0)) > 0;
  close(fd);
  return is_set;
}

static void filters(void) {
  char path[PATH_MAX];
  for (long n = 0; count(mkdir(own_path(path, n), 0700)) == 0; n++)
    if (!set_largest(path, costly_filter)) break;
  begun();
  wait_for_ever();
}

/* Makes directories that end with their owner, all at once. */
static void filter_subsystems(void) {
  char path[PATH_MAX];
  for (long n = 0; count(mkdir(own_path(path, n), 0700)) == 0; n++)
    if (!set_largest(path, many_subsystems)) break;
  begun();
  wait_for_ever();
}

static void append_filters(long n) {
  char directory[PATH_MAX], filter[PATH_MAX];
  make_own(directory, n);
  format(filter, "%s/.filter", directory);
  begun();
  for (;;) {
    int fd = (int)count(open(filter, O_WRONLY | O_APPEND | O_CLOEXEC));
    while (count(write(fd, "A=b\n", 4)) == 4) continue;
    close(fd);
    count(truncate(filter, 0));
  }
}

static void filter_append(void) { fork_each(4, append_filters); }

static void write_filters(long n) {
  static char text[WRITE_BYTES];
  char path[PATH_MAX];
  make_own(path, n);
  begun();
  for (int fd = open_own(path, ".filter", O_WRONLY);;)
    for (size_t bytes = sizeof text; bytes >= 64; bytes /= 2)
      count(pwrite(fd, text, many_rules(text, bytes), 0));
}

static void filter_write(void) { fork_each(4, write_filters); }

static void set_filters(long n) {
  static char text[65536];
  char path[PATH_MAX];
  make_own(path, n);
  begun();
  for (size_t bytes = sizeof text;; bytes = bytes > 64 ? bytes / 2 : sizeof text)
    count(setxattr(path, "user.eventfs.filter", text, many_rules(text, bytes), 0));
}

static void filter_xattr(void) { fork_each(4, set_filters); }

/* Makes the daemon match the whole log again by a single write, again and again. */
static void since_filters(long n) {
  char path[PATH_MAX];
  make_own(path, n);
  set_largest(path, costly_filter);
  begun();
  for (int fd = open_own(path, ".since", O_WRONLY);;) count(pwrite(fd, "0\n", 2, 0));
}

static void since_filter(void) { fork_each(4, since_filters); }

static void rewrite_since(long n) {
  char path[PATH_MAX];
  begun();
  for (;;) {
    count(mkdir(own_path(path, n), 0700));
    int fd = open_own(path, ".since", O_WRONLY);
    for (int i = 0; i < 10; i++) count(pwrite(fd, "0\n", 2, 0));
    close(fd);
    remove_own(path);
  }
}

static void since(void) { fork_each(4, rewrite_since); }

#endif
