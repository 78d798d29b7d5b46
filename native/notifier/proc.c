/*
 * One look at a process. Every inotify descriptor shows its watches in /proc/<pid>/fdinfo/<fd> (proc(5)), a line each:
 *
 *   inotify wd:1 ino:2a sdev:2d mask:100 ...
 *
 * The kernel makes all of that text in the first read(2): seconds of work for a million watches. Nothing cuts that
 * short, so all of this runs in a thread of its own (look.c).
 */
#include "notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* So many directories are noted as watched under one lock. */
#define NOTED_AT_ONCE 256
/* A directory's names are listed in such pieces: of each name the kernel makes an inode. */
#define LISTED_BYTES 2048

uint64_t current_look;
uint64_t slice_end_ns;

bool time_is_up(void) { return now_ns() >= slice_end_ns; }

/* As getdents64(2) gives it. */
struct entry {
  uint64_t ino;
  int64_t next; /* where the listing goes on behind it */
  unsigned short length;
  unsigned char type;
  char name[];
};

static enum found found_nothing(void) {
  switch (errno) {
    case ENOENT:
    case ESRCH: return NONE;
    case EACCES:
    case EPERM: return REFUSED;
    default: return UNKNOWN;
  }
}

/* Inodes of directories that a descriptor watches, until they are noted. */
static struct {
  int tid;
  int fd;
  uint64_t inos[NOTED_AT_ONCE];
  size_t count;
} watched;

static void note_watched(void) {
  lock_all();
  for (size_t i = 0; i < watched.count; i++) {
    struct directory *directory = find_directory(watched.inos[i]);
    if (directory) add_watcher(directory, watched.tid, watched.fd, current_look);
  }
  unlock_all();
  watched.count = 0;
}

static void read_line(const char *line) {
  if (strncmp(line, "inotify ", 8) != 0) return;
  const char *ino = strstr(line, " ino:"), *sdev = strstr(line, " sdev:");
  if (!ino || !sdev || strtoull(sdev + 6, NULL, 16) != device) return;
  if (watched.count == NOTED_AT_ONCE) note_watched();
  watched.inos[watched.count++] = strtoull(ino + 5, NULL, 16);
}

/* Notes which of the directories that we know the descriptor watches. */
static enum found read_watches(int tid, int fd) {
  static char text[65536];
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", tid, fd);
  int info = open(path, O_RDONLY | O_CLOEXEC);
  if (info < 0) return found_nothing();
  watched.tid = tid;
  watched.fd = fd;
  size_t length = 0;
  ssize_t got;
  while ((got = read(info, text + length, sizeof text - 1 - length)) > 0) {
    length += (size_t)got;
    text[length] = '\0';
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
      *end = '\0';
      read_line(line);
    }
    length -= (size_t)(line - text);
    memmove(text, line, length);
  }
  enum found found = got < 0 ? found_nothing() : SOME;
  close(info);
  note_watched();
  return found;
}

static bool is_inotify(const char *target, ssize_t length) {
  static const char name[] = "anon_inode:inotify";
  return length == sizeof name - 1 && memcmp(target, name, sizeof name - 1) == 0;
}

enum found read_descriptor(int tid, int fd) {
  char path[64], target[32];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
  ssize_t length = readlink(path, target, sizeof target);
  if (length < 0) return found_nothing();
  return is_inotify(target, length) ? read_watches(tid, fd) : NONE;
}

/* The next piece of a listing. 0 at its end, -1 when errno says why. */
static long list(int directory, long place, char *piece) {
  if (lseek(directory, place, SEEK_SET) < 0) return -1;
  return syscall(SYS_getdents64, directory, piece, LISTED_BYTES);
}

enum found read_descriptors(int tid, long *place) {
  char path[64], target[32], piece[LISTED_BYTES] __attribute__((aligned(8)));
  snprintf(path, sizeof path, "/proc/%d/fd", tid);
  int descriptors = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptors < 0) return found_nothing();
  enum found found = *place > 2 ? SOME : NONE; /* behind `.` and `..` */
  long got;
  while (found != PUT_OFF && found != UNKNOWN && (got = list(descriptors, *place, piece)) != 0) {
    if (got < 0) {
      enum found nothing = found_nothing();
      if (nothing != NONE) found = nothing;
      break;
    }
    for (long at = 0; at < got;) {
      const struct entry *entry = (const struct entry *)(piece + at);
      at += entry->length;
      *place = (long)entry->next;
      if (entry->name[0] == '.') continue;
      found = SOME;
      ssize_t length = readlinkat(descriptors, entry->name, target, sizeof target);
      if (is_inotify(target, length) && read_watches(tid, atoi(entry->name)) == UNKNOWN) {
        found = UNKNOWN;
        break;
      }
      if (!time_is_up()) continue;
      found = PUT_OFF;
      break;
    }
  }
  close(descriptors);
  return found;
}

int read_numbers(const char *path, long *place, int *numbers, int most) {
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
    for (long at = 0; at < got && count < most;) {
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

/* The beginning of a file of /proc, ended by a NUL. False when it can't be read. */
static bool read_short(const char *path, char *text, size_t room) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t length = 0;
  ssize_t got;
  while (length < room - 1 && (got = read(fd, text + length, room - 1 - length)) > 0) length += (size_t)got;
  close(fd);
  text[length] = '\0';
  return length > 0;
}

bool read_state(int tid, char *state, uint64_t *start_ms) {
  char path[64], text[1024];
  unsigned long long start_ticks;
  snprintf(path, sizeof path, "/proc/%d/stat", tid);
  if (!read_short(path, text, sizeof text)) return false;
  const char *after = strrchr(text, ')');
  if (!after || sscanf(after, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", state, &start_ticks) != 2)
    return false;
  *start_ms = start_ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
  return *state != 'Z' && *state != 'X';
}

int read_children(int tid, int *children, int most) {
  /* No more than is wanted: a process may have any number of children. */
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", tid, tid);
  if (!read_short(path, text, sizeof text)) return 0;
  int count = 0;
  for (char *at = text, *end; count < most; at = end) {
    long child = strtol(at, &end, 10);
    if (end == at || *end != ' ') break; /* the last one may be cut off */
    children[count++] = (int)child;
  }
  return count;
}
