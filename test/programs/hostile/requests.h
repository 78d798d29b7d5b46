/* Attacks by expensive requests in a loop. */
#ifndef PROGRAMS_HOSTILE_REQUESTS_H
#define PROGRAMS_HOSTILE_REQUESTS_H

#include "filters.h"
#include "helpers.h"
#include <sys/inotify.h>
#include <sys/statfs.h>

static void look_up_matches(long n) {
  char path[PATH_MAX];
  struct stat attributes;
  begun();
  for (unsigned long i = 0;; i++) {
    int length = snprintf(path, sizeof path, "%s/match/N%ld_%lu==", mount_path, n, i);
    while (length + 8 < (int)strlen(mount_path) + 250)
      length += snprintf(path + length, sizeof path - (size_t)length, "*[a-z]|");
    path[length - 1] = '\0';
    count(stat(path, &attributes));
    close((int)count(open(path, O_RDONLY | O_CLOEXEC)));
  }
}

static void matches(void) { fork_each(8, look_up_matches); }

static void look_at_status(long n) {
  char path[PATH_MAX], text[65536];
  struct stat attributes;
  (void)n;
  format(path, "%s/log/.status", mount_path);
  begun();
  for (;;) {
    count(stat(path, &attributes));
    int fd = (int)count(open(path, O_RDONLY | O_CLOEXEC));
    count(read(fd, text, sizeof text));
    close(fd);
  }
}

/* Opens many streams: each has a line in log/.status. */
static void status(void) {
  char path[PATH_MAX];
  for (long i = 0; i < 4096; i++) {
    int length = snprintf(path, sizeof path, "%s/match/N!=%0*ld", mount_path, 240, i);
    (void)length;
    if (count(open(path, O_RDONLY | O_CLOEXEC)) < 0) break;
  }
  fork_each(8, look_at_status);
}

static void ask_statfs(long n) {
  struct statfs filesystem;
  (void)n;
  begun();
  for (;;) count(statfs(mount_path, &filesystem));
}

static void statfses(void) { fork_each(8, ask_statfs); }

static void ask_xattrs(long n) {
  static const char *const names[] = {
      "user.eventfs.filter", "user.eventfs.owner", "user.eventfs.pending", "user.eventfs.lost",
      "user.eventfs_sticky", "user.none",          "constructor",          "toString",
      "__proto__",           "hasOwnProperty",     "security.capability"};
  static char value[65536];
  char path[PATH_MAX];
  make_own(path, n);
  set_largest(path, long_filter);
  begun();
  for (size_t i = 0;; i++) {
    const char *name = names[i % (sizeof names / sizeof *names)];
    count(getxattr(path, name, value, sizeof value));
    count(listxattr(path, value, sizeof value));
    if (strcmp(name, "user.eventfs_sticky") == 0 || strcmp(name, "user.eventfs.filter") == 0)
      continue;
    count(setxattr(path, name, value, sizeof value, 0));
    count(removexattr(path, name));
  }
}

static void xattrs(void) { fork_each(4, ask_xattrs); }

static void list_directories(long n) {
  char path[PATH_MAX], entries[600];
  make_own(path, n);
  make_files(path, 4000, long_name);
  for (long i = 1; i < 2000; i++) {
    char file[PATH_MAX];
    count(unlink(long_name(file, path, i))); /* a hole in the middle */
  }
  begun();
  unsigned seed = (unsigned)n;
  for (int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);;) {
    count(lseek(
        fd, rand_r(&seed) % 3 ? rand_r(&seed) % 4000 : ((long)rand_r(&seed) << 32 | rand_r(&seed)),
        SEEK_SET));
    count(syscall(SYS_getdents64, fd, entries, sizeof entries));
  }
}

static void listings(void) { fork_each(8, list_directories); }

static void change_attributes(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  make_files(directory, 4000, short_name);
  begun();
  for (long i = 0;; i = (i + 1) % 4000) {
    const char *each = i % 2 ? directory : short_name(path, directory, i);
    count(chmod(each, (mode_t)(0700 | (i & 077))));
    count(chown(each, (uid_t)-1, getegid()));
    count(utimensat(AT_FDCWD, each, NULL, 0));
    count(utimensat(AT_FDCWD, each, (struct timespec[]){{LONG_MAX, 999999999}, {LONG_MIN, 0}}, 0));
  }
}

static void attributes(void) { fork_each(4, change_attributes); }

static void make_specials(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  begun();
  for (;;) {
    long made = 0;
    while (made < 20000 && count(mknod(long_name(path, directory, made),
                                       (made % 2 ? S_IFIFO : S_IFSOCK) | 0600, 0)) == 0)
      made++;
    for (long i = 1; i < made - 1; i++) count(unlink(long_name(path, directory, i)));
    count(unlink(long_name(path, directory, 0)));
    count(unlink(long_name(path, directory, made - 1)));
  }
}

static void specials(void) { fork_each(3, make_specials); }

static void make_symlinks(long n) {
  static char target[4096];
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  memset(target, 'x', sizeof target - 1);
  begun();
  for (long i = 0;; i++) {
    count(symlink(target, long_name(path, directory, i % 5000)));
    count(readlink(path, (char[64]){0}, 64));
    if (i % 5000 >= 2500) count(unlink(long_name(path, directory, i % 5000 - 2500)));
  }
}

static void symlinks(void) { fork_each(4, make_symlinks); }

static void watch_directories(long n) {
  char path[PATH_MAX];
  struct stat attributes;
  static char told[65536];
  int fds[16];
  size_t instances = 0;
  for (; instances < 16; instances++)
    if ((fds[instances] = (int)count(inotify_init1(IN_NONBLOCK | IN_CLOEXEC))) < 0) break;
  for (long i = 0; i < 60; i++) {
    if (count(mkdir(own_path(path, n * 100 + i), 0700)) != 0) break;
    for (size_t instance = 0; instance < instances; instance++)
      count(inotify_add_watch(fds[instance], path, IN_ALL_EVENTS));
  }
  begun();
  for (long i = 0;; i = (i + 1) % 60) {
    for (size_t instance = 0; instance < instances; instance++)
      count(read(fds[instance], told, sizeof told));
    count(stat(own_path(path, n * 100 + i), &attributes));
    count(inotify_add_watch(fds[0], path, IN_ALL_EVENTS));
  }
}

static void watches(void) { fork_each(4, watch_directories); }

/* Publishes tiny events, as a user whom root has given access to `publish`. */
static void publish_tiny(long n) {
  static char records[WRITE_BYTES];
  char path[PATH_MAX];
  (void)n;
  for (size_t at = 0; at + 6 <= sizeof records; at += 6) memcpy(records + at, "a@/x\n\n", 6);
  int fd = open(format(path, "%s/publish", mount_path), O_WRONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  begun();
  for (;;) count(write(fd, records, sizeof records / 6 * 6));
}

static void own_all_and_publish(void) {
  char path[PATH_MAX];
  for (long n = 0; count(mkdir(own_path(path, n), 0700)) == 0; n++) continue;
  fork_each(2, publish_tiny);
}

static void stat_for_ever(long n) {
  struct stat attributes;
  char path[PATH_MAX];
  make_own(path, n);
  begun();
  for (;;) count(stat(path, &attributes));
}

static void stats(void) { fork_each(16, stat_for_ever); }

static void stat_for_ever_outside(long n) {
  struct stat attributes;
  char path[PATH_MAX];
  (void)n;
  format(path, "%s/log/head", mount_path);
  begun();
  for (;;) count(lstat(path, &attributes));
}

/* Keeps one request of each process in the kernel's queue all the time. */
static void stats_200(void) { fork_each(200, stat_for_ever); }

static void stats_2000(void) { fork_each(2000, stat_for_ever_outside); }

/* Opens and closes: the kernel sends a RELEASE for each, for which no process waits. */
static void close_for_ever(long n) {
  char path[PATH_MAX];
  (void)n;
  format(path, "%s/log/.status", mount_path);
  begun();
  for (;;) close((int)count(open(path, O_RDONLY | O_CLOEXEC)));
}

static void closes_2000(void) { fork_each(2000, close_for_ever); }

#endif
