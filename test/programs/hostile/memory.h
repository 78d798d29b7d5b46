/* Attacks on the memory: files that grow and shrink, and open handles. */
#ifndef PROGRAMS_HOSTILE_MEMORY_H
#define PROGRAMS_HOSTILE_MEMORY_H

#include "filters.h"
#include "helpers.h"

static void truncates(void) {
  char directory[PATH_MAX], path[PATH_MAX];
  int fds[1024];
  size_t files = 0;
  for (long n = 0; n < 16; n++) {
    make_own(directory, n);
    for (long i = 0; i < 64; i++) {
      fds[files] = open(short_name(path, directory, i), O_WRONLY | O_CREAT, 0600);
      if (fds[files] < 0) die("%s: %m", path);
      files++;
    }
  }
  begun();
  for (;;)
    for (size_t i = 0; i < files; i++) {
      count(ftruncate(fds[i], EVENT_BYTES));
      count(ftruncate(fds[i], 0));
    }
}

/* Cuts files to nothing. Such a file counts as nothing, so it must take no memory. */
static void cut_files(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_closed(directory, n);
  make_files(directory, 4000, short_name);
  begun();
  for (long i = 0;; i = (i + 1) % 4000) {
    count(truncate(short_name(path, directory, i), EVENT_BYTES));
    count(truncate(path, 0));
  }
}

static void cuts(void) { fork_each(4, cut_files); }

/* Opens files whose text is made at open, until it runs out of descriptors. */
static void keep_open(long n) {
  char path[PATH_MAX];
  make_own(path, n);
  set_largest(path, long_filter);
  begun();
  char filter[PATH_MAX], status[PATH_MAX], log[PATH_MAX];
  format(filter, "%s/.filter", path), format(status, "%s/.status", path),
      format(log, "%s/log/.status", mount_path);
  const char *const files[] = {filter, status, log};
  for (;;) {
    int last = -1;
    for (int i = 0, fd; (fd = (int)count(open(files[i % 3], O_RDONLY | O_CLOEXEC))) >= 0; i++)
      last = fd;
    close_range((unsigned)STDERR_FILENO + 1, (unsigned)(last < 0 ? STDERR_FILENO + 1 : last), 0);
  }
}

static void opens(void) { fork_each(4, keep_open); }

static void keep_directories_open(long n) {
  char path[PATH_MAX], log[PATH_MAX];
  make_own(path, n);
  begun();
  format(log, "%s/log", mount_path);
  const char *const directories[] = {mount_path, path, log};
  for (;;) {
    int last = -1;
    for (int i = 0, fd;
         (fd = (int)count(open(directories[i % 3], O_RDONLY | O_DIRECTORY | O_CLOEXEC))) >= 0; i++)
      last = fd;
    close_range((unsigned)STDERR_FILENO + 1, (unsigned)(last < 0 ? STDERR_FILENO + 1 : last), 0);
  }
}

static void opendirs(void) { fork_each(4, keep_directories_open); }

/* Writes an event of the largest size again and again. */
static void write_much_for_ever(long n) {
  static char text[EVENT_BYTES];
  char directory[PATH_MAX], path[PATH_MAX];
  format(directory, "%s/%d.%ld", mount_path, (int)getppid(), n / 64);
  int fd = open(short_name(path, directory, n % 64), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) die("%s: %m", path);
  begun();
  for (;;) count(pwrite(fd, text, sizeof text, 0));
}

/* Keeps 64 KiB of each process in the kernel's queue all the time. */
static void writes_1000(void) {
  char directory[PATH_MAX];
  for (long n = 0; n < 16; n++) make_closed(directory, n);
  fork_each(1000, write_much_for_ever);
}

#endif
