/*
 * Reads one process in /proc. Every descriptor of inotify(7) and fanotify(7) shows its watches in
 * /proc/<pid>/fdinfo/<fd> (proc(5)), one in each line:
 *
 *   inotify wd:1 ino:2a sdev:2d mask:100 ...
 *   fanotify ino:2a sdev:2d mflags:0 mask:40000100 ...
 *
 * The marks of fanotify for whole mounts have no inode, and need file ids, which the mount has not.
 *
 * The kernel makes all of that text in the first read(2): seconds of work for a million watches,
 * which nothing interrupts. So only the scanning thread does this.
 */
#include "notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The size of one piece of a listing. The kernel makes an inode of each name in it. */
#define LISTED_BYTES 2048

bool is_time_up(const struct notifier *n) { return now_ns() >= n->scanner.slice_end_ns; }

/* linux_dirent64, as getdents64(2) returns it. */
struct entry {
  uint64_t ino;
  int64_t next; /* where the listing continues after this entry */
  unsigned short length;
  unsigned char type;
  char name[];
};

/* Translates errno. */
static enum found found_by_errno(void) {
  switch (errno) {
    case ENOENT:
    case ESRCH: return NONE;
    case EACCES:
    case EPERM: return DENIED;
    default: return FAILED;
  }
}

/* ---- the watches of a descriptor */

static void mark_watched(struct notifier *n) {
  struct watched *watched = &n->scanner.watched;
  lock(n);
  for (size_t i = 0; i < watched->count; i++) {
    struct directory *directory = find_directory(n, watched->inos[i]);
    if (!directory) continue;
    add_watcher(n, directory, watched->tid, watched->fd, n->scanner.current);
  }
  unlock(n);
  watched->count = 0;
}

static void read_line(struct notifier *n, const char *line) {
  struct watched *watched = &n->scanner.watched;
  if (strncmp(line, "inotify ", 8) != 0 && strncmp(line, "fanotify ", 9) != 0) return;
  const char *ino = strstr(line, " ino:"), *sdev = strstr(line, " sdev:");
  if (!ino || !sdev || strtoull(sdev + 6, NULL, 16) != n->device) return;
  if (watched->count == MARKED_AT_ONCE) mark_watched(n);
  watched->inos[watched->count++] = strtoull(ino + 5, NULL, 16);
}

/* Marks which of the known directories a descriptor watches. */
static enum found read_watches(struct notifier *n, int tid, int fd) {
  char *text = n->scanner.text;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", tid, fd);
  int info = open(path, O_RDONLY | O_CLOEXEC);
  if (info < 0) return found_by_errno();
  n->scanner.watched.tid = tid;
  n->scanner.watched.fd = fd;
  size_t length = 0;
  ssize_t got;
  while ((got = read(info, text + length, TEXT_BYTES - 1 - length)) > 0) {
    length += (size_t)got;
    text[length] = '\0';
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      *end = '\0';
      read_line(n, line);
    }
    length -= (size_t)(line - text);
    memmove(text, line, length);
  }
  enum found found = got < 0 ? found_by_errno() : SOME;
  close(info);
  mark_watched(n);
  return found;
}

/* ---- the descriptors of a process */

/* Returns whether a descriptor has watches, by the target of its link in /proc/<pid>/fd. */
static bool has_watches(const char *target, ssize_t length) {
  static const char inotify[] = "anon_inode:inotify", fanotify[] = "anon_inode:[fanotify]";
  return (length == sizeof inotify - 1 && memcmp(target, inotify, sizeof inotify - 1) == 0) ||
         (length == sizeof fanotify - 1 && memcmp(target, fanotify, sizeof fanotify - 1) == 0);
}

enum found read_descriptor(struct notifier *n, int tid, int fd) {
  char path[64], target[32];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
  ssize_t length = readlink(path, target, sizeof target);
  if (length < 0) return found_by_errno();
  return has_watches(target, length) ? read_watches(n, tid, fd) : NONE;
}

/* Reads the next piece of a listing. Returns its size in bytes; 0 at the end; -1 with errno. */
static long list(int directory, long place, char *piece) {
  if (lseek(directory, place, SEEK_SET) < 0) return -1;
  return syscall(SYS_getdents64, directory, piece, LISTED_BYTES);
}

/* Reads the descriptors that one piece of /proc/<pid>/fd lists. */
static enum found read_piece(struct notifier *n, int tid, int descriptors, const char *piece,
                             long bytes, long *place) {
  char target[32];
  enum found found = NONE;
  for (long at = 0; at < bytes;) {
    const struct entry *entry = (const struct entry *)(piece + at);
    at += entry->length;
    *place = (long)entry->next;
    if (entry->name[0] == '.') continue;
    found = SOME;
    ssize_t length = readlinkat(descriptors, entry->name, target, sizeof target);
    bool is_relevant = has_watches(target, length);
    if (is_relevant && read_watches(n, tid, atoi(entry->name)) == FAILED) return FAILED;
    if (is_time_up(n)) return DEFERRED;
  }
  return found;
}

enum found read_descriptors(struct notifier *n, int tid, long *place) {
  char path[64], piece[LISTED_BYTES] __attribute__((aligned(8)));
  snprintf(path, sizeof path, "/proc/%d/fd", tid);
  int descriptors = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptors < 0) return found_by_errno();
  enum found found = *place > 2 ? SOME : NONE; /* after `.` and `..` */
  long got;
  while (found != DEFERRED && found != FAILED && (got = list(descriptors, *place, piece)) != 0) {
    enum found next =
        got < 0 ? found_by_errno() : read_piece(n, tid, descriptors, piece, got, place);
    if (next != NONE) found = next;
    if (got < 0) break;
  }
  close(descriptors);
  return found;
}

/* ---- other files of /proc */

int read_numbers(const char *path, long *place, int *numbers, int max) {
  char piece[LISTED_BYTES] __attribute__((aligned(8)));
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -1;
  int count = 0;
  long got;
  while (count == 0 && (got = list(directory, *place, piece)) != 0) {
    if (got < 0) {
      count = -1;
      break;
    }
    for (long at = 0; at < got && count < max;) {
      const struct entry *entry = (const struct entry *)(piece + at);
      at += entry->length;
      *place = (long)entry->next;
      int number = atoi(entry->name);
      if (number > 0) numbers[count++] = number;
    }
  }
  int error = errno;
  close(directory);
  errno = error;
  return count;
}

/*
 * Reads the beginning of a file, and ends the text with a NUL. Returns false if it can't be read.
 */
static bool read_short(const char *path, char *text, size_t room) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t length = 0;
  ssize_t got;
  while (length < room - 1 && (got = read(fd, text + length, room - 1 - length)) > 0) {
    length += (size_t)got;
  }
  close(fd);
  text[length] = '\0';
  return length > 0;
}

bool read_state(int tid, char *state, uint64_t *start_ms) {
  static const char format[] =
      ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu";
  char path[64], text[1024];
  unsigned long long start_ticks;
  snprintf(path, sizeof path, "/proc/%d/stat", tid);
  if (!read_short(path, text, sizeof text)) return false;
  const char *after = strrchr(text, ')');
  if (!after || sscanf(after, format, state, &start_ticks) != 2) return false;
  *start_ms = start_ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
  return *state != 'Z' && *state != 'X';
}

int read_children(int tid, int *children, int max) {
  /* A part of the file is enough: a process may have any number of children */
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", tid, tid);
  if (!read_short(path, text, sizeof text)) return 0;
  int count = 0;
  for (char *at = text, *end; count < max; at = end) {
    long child = strtol(at, &end, 10);
    if (end == at || *end != ' ') break; /* the last number may be cut off */
    children[count++] = (int)child;
  }
  return count;
}
