/*
 * Creates as many things of one kind on a mount as it can: `flood WHAT MOUNT MOST`. It stops after
 * MOST of them, or after a thousand refusals in a row. Then it prints `made N, refused M: ERRNO
 * ...`, and keeps the things until its standard input ends.
 *
 *   mkdir     directories with names of 200 bytes       create    files with long names
 *   link      links to one file, with long names        fifo      FIFOs with long names
 *   open      open files of one file                    opendir   open directories
 *   stream    open streams                              match     streams with distinct filters
 *   filter    directories with a filter of 4 KB each    status    open log/.status
 *   reopen    open .filter, with one filter of 4 KB     truncate  files cut from 64 KiB to 0
 *   symlink   symlinks with long names, whose targets have 4,095 bytes
 *
 * A long name has 200 bytes.
 */
#include "common.h"
#include <sys/resource.h>
#include <sys/stat.h>

static const char *mount_path;
static char own[4096], file[8192], name[16384];
/* The largest filter by default: 63 terms in 4 KiB. */
#define LINE_BYTES 64
static char filter[63 * LINE_BYTES];

static const char *long_name(const char *directory, long i) {
  char pad[220];
  memset(pad, 'x', sizeof pad);
  snprintf(name, sizeof name, "%s/%d.%.*s%012ld", directory, (int)getpid(), 180, pad, i);
  return name;
}

static char target[4096];

static bool make_one(const char *what, long i) {
  if (strcmp(what, "mkdir") == 0) return mkdir(long_name(mount_path, i), 0755) == 0;
  if (strcmp(what, "link") == 0) return link(file, long_name(own, i)) == 0;
  if (strcmp(what, "fifo") == 0) return mkfifo(long_name(own, i), 0644) == 0;
  if (strcmp(what, "symlink") == 0) return symlink(target, long_name(own, i)) == 0;
  if (strcmp(what, "open") == 0) return open(file, O_RDONLY) >= 0;
  if (strcmp(what, "opendir") == 0) return open(own, O_RDONLY | O_DIRECTORY) >= 0;
  if (strcmp(what, "create") == 0) {
    int fd = open(long_name(own, i), O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd >= 0) close(fd);
    return fd >= 0;
  }
  if (strcmp(what, "truncate") == 0) {
    int fd = open(long_name(own, i), O_WRONLY | O_CREAT | O_EXCL, 0644);
    bool is_done = fd >= 0 && ftruncate(fd, 65536) == 0 && ftruncate(fd, 0) == 0;
    if (fd >= 0) close(fd);
    return is_done;
  }
  if (strcmp(what, "reopen") == 0) {
    snprintf(name, sizeof name, "%s/.filter", own);
    if (i == 0) {
      int fd = open(name, O_WRONLY | O_TRUNC);
      if (fd < 0 || write(fd, filter, sizeof filter) < 0) return false;
      close(fd);
    }
    return open(name, O_RDONLY) >= 0;
  }
  if (strcmp(what, "stream") == 0) {
    snprintf(name, sizeof name, "%s/stream", mount_path);
    return open(name, O_RDONLY) >= 0;
  }
  if (strcmp(what, "match") == 0) {
    snprintf(name, sizeof name, "%s/match/A==%ld", mount_path, i);
    return open(name, O_RDONLY) >= 0;
  }
  if (strcmp(what, "status") == 0) {
    snprintf(name, sizeof name, "%s/log/.status", mount_path);
    return open(name, O_RDONLY) >= 0;
  }
  if (strcmp(what, "filter") == 0) {
    snprintf(name, sizeof name, "%s/%d.%ld", mount_path, (int)getpid(), i);
    if (mkdir(name, 0755) != 0 && errno != EEXIST) return false;
    strcat(name, "/.filter");
    int fd = open(name, O_WRONLY | O_TRUNC);
    if (fd < 0) return false;
    ssize_t written = write(fd, filter, sizeof filter);
    int error = errno;
    close(fd);
    errno = error;
    return written == sizeof filter;
  }
  die("no such kind: %s", what);
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: flood WHAT MOUNT MOST");
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  mount_path = argv[2];
  memset(target, 'x', sizeof target - 1);
  for (size_t i = 0; i < sizeof filter; i += LINE_BYTES) {
    memset(filter + i, 'b', LINE_BYTES);
    memcpy(filter + i, "A=", 2);
    filter[i + LINE_BYTES - 1] = '\n';
  }
  snprintf(own, sizeof own, "%s/%d", mount_path, (int)getpid());
  snprintf(file, sizeof file, "%s/file", own);
  int fd = -1;
  if (mkdir(own, 0755) != 0 || (fd = open(file, O_WRONLY | O_CREAT, 0644)) < 0) die("%s: %m", own);
  close(fd);
  static bool seen[256];
  long made = 0, refused = 0;
  for (int in_a_row = 0; in_a_row < 1000 && made < atol(argv[3]);) {
    if (make_one(argv[1], made + refused)) made++, in_a_row = 0;
    else refused++, in_a_row++, seen[errno & 255] = true;
  }
  printf("made %ld, refused %ld:", made, refused);
  for (int error = 0; error < 256; error++) {
    if (seen[error]) printf(" %s", strerrorname_np(error));
  }
  printf("\n");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
