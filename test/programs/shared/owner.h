/* A process that makes its own things in a mounted eventfs, and then lives until it is killed. */
#ifndef PROGRAMS_OWNER_H
#define PROGRAMS_OWNER_H

#include "common.h"
#include <dirent.h>
#include <limits.h>

/* Forks an owner; returns when it has made its things. */
static inline pid_t start_owner(const char *mount, void (*make)(const char *mount)) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) die("pipe2: %m");
  pid_t owner = fork_child();
  if (owner == 0) {
    make(mount);
    if (write(ready[1], "\n", 1) != 1) die("write: %m");
    for (;;) pause();
  }
  close(ready[1]); /* so that its failure is the end of the pipe */
  char newline;
  if (read(ready[0], &newline, 1) != 1) die("an owner has failed");
  close(ready[0]);
  return owner;
}

__attribute__((format(printf, 2, 3))) static inline void format_path(char path[PATH_MAX],
                                                                     const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (vsnprintf(path, PATH_MAX, format, arguments) >= PATH_MAX) die("path too long");
  va_end(arguments);
}

/* Returns true if a listing of `mount` has a directory of `owner`: <pid> or <pid>.<label>. */
static inline bool is_listed(const char *mount, pid_t owner) {
  DIR *directory = opendir(mount);
  if (!directory) die("%s: %m", mount);
  bool found = false;
  struct dirent *entry;
  while (errno = 0, (entry = readdir(directory))) {
    char *end;
    long pid = strtol(entry->d_name, &end, 10);
    if (end != entry->d_name && pid == owner && (*end == '\0' || *end == '.')) found = true;
  }
  if (errno) die("%s: readdir: %m", mount);
  closedir(directory);
  return found;
}

#endif
