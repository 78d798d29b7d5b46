/*
 * The leftover files of a dead subscriber in the designs with files: a directory <pid> of hard
 * links, and a FIFO with the PID in its name.
 */
#ifndef COMPARE_LEFTOVERS_H
#define COMPARE_LEFTOVERS_H

#include "common.h"

#include <dirent.h>
#include <limits.h>

/* The form of s6: a prefix, a time stamp in TAI64N (here always the same), and any unique text. */
#define FIFO_PREFIX "ftrig1:@4000000000000000000000aa:"

__attribute__((format(printf, 2, 3))) static inline void print_path(char path[PATH_MAX],
                                                                    const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (vsnprintf(path, PATH_MAX, format, arguments) >= PATH_MAX) die("path too long");
  va_end(arguments);
}

static inline void remove_directory(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) return; /* Another cleaner was faster. */
  for (struct dirent *entry; (entry = readdir(directory));)
    if (entry->d_name[0] != '.') unlinkat(dirfd(directory), entry->d_name, 0);
  closedir(directory);
  rmdir(path); /* It fails if an event has come since: the next call removes that. */
}

/*
 * Removes the leftover files of a dead subscriber. A shell's `rm -r *$childpid*` would also remove
 * 12345 for 234: this compares the whole PID. A publisher may link events meanwhile, so it tries
 * until the directory is gone.
 */
static inline void clean_up_after(pid_t pid, const char *events, const char *fifodir) {
  char path[PATH_MAX];
  print_path(path, "%s/%s%d", fifodir, FIFO_PREFIX, (int)pid);
  unlink(path);
  print_path(path, "%s/%d", events, (int)pid);
  do remove_directory(path);
  while (access(path, F_OK) == 0);
}

#endif
