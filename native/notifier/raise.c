/*
 * The system calls on the mount that make the kernel raise inotify events. The daemon recognizes
 * this process by its PID, and replies in this way to no other.
 */
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

/* How many requests one run of the helper makes. Each reply brings one request that waits. */
#define REQUESTS_AT_ONCE 64

void open_mount(struct notifier *n) { n->mount.is_gone = false; }

/* Returns whether `fd` is on our mount, and is the inode `ino` unless that is 0. Never asks the
 * daemon. */
static bool is_ours(const struct notifier *n, int fd, uint64_t ino) {
  struct statx attributes;
  int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (statx(fd, "", flags, STATX_INO, &attributes) != 0) return false;
  if (attributes.stx_dev_major != 0 || attributes.stx_dev_minor != n->device) return false;
  return ino == 0 || attributes.stx_ino == ino;
}

/* Opens the root of the mount at `path`. Returns false if our mount is not there. */
static bool open_root(struct notifier *n, const char *path) {
  int root = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);
  if (root < 0) root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  n->mount.root = root;
  if (root >= 0 && is_ours(n, root, 0)) return true;
  close_mount(n);
  return false;
}

/*
 * Decodes a path of mountinfo, which has blanks, line ends and backslashes as three octal digits.
 */
static void unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from; from++) {
    if (from[0] == '\\' && from[1] && from[2] && from[3]) {
      *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
      from += 3;
    } else {
      *to++ = *from;
    }
  }
  *to = '\0';
}

/*
 * Opens the root by its device (proc_pid_mountinfo(5)). The mount was moved, or a directory above
 * it renamed.
 */
static bool find_root(struct notifier *n) {
  FILE *mounts = fopen("/proc/self/mountinfo", "re");
  char *line = NULL;
  size_t room = 0;
  bool is_found = false;
  while (mounts && !is_found && getline(&line, &room, mounts) > 0) {
    unsigned major, minor;
    int at = 0, end = 0;
    int fields = sscanf(line, "%*d %*d %u:%u / %n%*s%n", &major, &minor, &at, &end);
    if (fields < 2 || end == 0 || major != 0 || minor != n->device) continue;
    line[end] = '\0';
    unescape(line + at);
    is_found = open_root(n, line + at);
  }
  free(line);
  if (mounts) fclose(mounts);
  return is_found;
}

/*
 * Opens the root once for a batch. If it may, it makes a mount of its own of the same filesystem:
 * umount(8) of the visible mount then succeeds at any time. Each batch looks for the mount anew:
 * after an umount the directory beneath would be at its path.
 */
static bool has_root(struct notifier *n) {
  struct mount *mount = &n->mount;
  if (mount->root >= 0) return true;
  if (mount->is_gone) return false;
  if (open_root(n, mount->path) || find_root(n)) return true;
  mount->is_gone = true;
  return false;
}

void close_mount(struct notifier *n) {
  if (n->mount.root >= 0) close(n->mount.root);
  n->mount.root = -1;
}

void raise_created(struct notifier *n, const struct directory *directory, const char **names,
                   size_t count) {
  if (count == 0 || !has_root(n)) return;
  int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(n->mount.root, directory->name, flags);
  if (fd < 0) return;
  for (size_t i = 0; i < count && is_ours(n, fd, directory->ino); i++) {
    if (mknodat(fd, names[i], S_IFREG | 0440, 0) == 0) continue;
    /* EALREADY, ENOENT: a reader has taken this event. ESTALE: the directory's owner is dead. */
    if (errno != ENOENT && errno != EALREADY) break;
  }
  close(fd);
}

void raise_deleted(struct notifier *n, const char *name) {
  if (has_root(n)) unlinkat(n->mount.root, name, AT_REMOVEDIR);
}

void make_requests_on(struct notifier *n, int cpu) {
  cpu_set_t cpus;
  struct statfs ignored;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
    die(1, "sched_setaffinity: %s", strerror(errno));
  }
  for (int i = 0; i < REQUESTS_AT_ONCE && has_root(n); i++) fstatfs(n->mount.root, &ignored);
  close_mount(n);
}
