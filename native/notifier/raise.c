/* The calls on the mount that make the kernel tell inotify. The daemon knows us by our PID and answers us alone in this way. */
#include "notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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

/*
 * The mount's root. Where we may, a mount of our own of the same filesystem: umount(8) of the one that everybody sees
 * then succeeds at any time. It looks at what is mounted there now: after an umount that would be the directory beneath.
 */
static bool has_root(void) {
  if (root >= 0) return true;
  if (is_gone) return false;
  root = (int)syscall(SYS_open_tree, AT_FDCWD, mount_path, OPEN_TREE_CLONE | O_CLOEXEC);
  if (root < 0) root = open(mount_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root >= 0 && is_ours(root, 0)) return true;
  close_mount();
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
