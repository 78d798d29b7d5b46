/* The calls on the mount that make the kernel tell inotify. The daemon knows us by our PID and answers us alone in this way. */
#include "notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static const char *mount_path;
static int root = -1;
/* Each answer helps one of those who wait. */
#define ASKED_AT_ONCE 64

static bool is_gone; /* the mount is not there, or the connection is over */

void open_mount(const char *path) {
  mount_path = path;
  is_gone = false;
}

/* Whether `fd` is on our mount; `ino`, if not 0, must be its inode. Asks the kernel only, never the daemon. */
static bool is_ours(int fd, uint64_t ino) {
  struct statx attributes;
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &attributes) != 0) return false;
  if (attributes.stx_dev_major != 0 || attributes.stx_dev_minor != device) return false;
  return ino == 0 || attributes.stx_ino == ino;
}

/* Opens the mount's root by a path, if the path leads there. */
static bool open_root(const char *path) {
  root = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);
  if (root < 0) root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root >= 0 && is_ours(root, 0)) return true;
  close_mount();
  return false;
}

/* Blanks, line ends and backslashes stand in mountinfo as three octal digits. */
static void unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from; from++) {
    if (from[0] == '\\' && from[1] && from[2] && from[3]) {
      *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
      from += 3;
    } else *to++ = *from;
  }
  *to = '\0';
}

/* The mount has been moved, or a directory above it renamed: by its device, proc_pid_mountinfo(5). */
static bool find_root(void) {
  FILE *mounts = fopen("/proc/self/mountinfo", "re");
  char *line = NULL;
  size_t room = 0;
  bool is_found = false;
  while (mounts && !is_found && getline(&line, &room, mounts) > 0) {
    unsigned major, minor;
    int at = 0, end = 0;
    if (sscanf(line, "%*d %*d %u:%u / %n%*s%n", &major, &minor, &at, &end) < 2 || end == 0 || major != 0 || minor != device) continue;
    line[end] = '\0';
    unescape(line + at);
    is_found = open_root(line + at);
  }
  free(line);
  if (mounts) fclose(mounts);
  return is_found;
}

/*
 * The mount's root. Where we may, a mount of our own of the same filesystem: umount(8) of the one that everybody sees
 * then succeeds at any time. It looks at what is mounted there now: after an umount that would be the directory beneath.
 */
static bool has_root(void) {
  if (root >= 0) return true;
  if (is_gone) return false;
  if (open_root(mount_path) || find_root()) return true;
  is_gone = true;
  return false;
}

void close_mount(void) {
  if (root >= 0) close(root);
  root = -1;
}

void raise_created(const struct directory *directory, const char **names, size_t count) {
  if (count == 0 || !has_root()) return;
  int fd = openat(root, directory->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  /* EALREADY, ENOENT: somebody has taken the event already, and needs no telling. ESTALE: the directory has ended. */
  for (size_t i = 0; i < count && is_ours(fd, directory->ino); i++)
    if (mknodat(fd, names[i], S_IFREG | 0440, 0) != 0 && errno != ENOENT && errno != EALREADY) break;
  close(fd);
}

void raise_deleted(const char *name) {
  if (has_root()) unlinkat(root, name, AT_REMOVEDIR);
}

void ask_on(int cpu) {
  cpu_set_t cpus;
  struct statfs ignored;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) die(1, "sched_setaffinity: %s", strerror(errno));
  for (int i = 0; i < ASKED_AT_ONCE && has_root(); i++) fstatfs(root, &ignored);
  close_mount();
}
