/* Shared by the attacks: their counts, directories, files, and owners that die. */
#ifndef PROGRAMS_HOSTILE_HELPERS_H
#define PROGRAMS_HOSTILE_HELPERS_H

#include "common.h"
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define PAUSE_NS (100 * NS_PER_MS)
#define QUEUE_EVENTS 4096
#define EVENT_BYTES 65536
#define WRITE_BYTES (128 * 1024)
#define FULL_DIRECTORIES 16 /* the number of full queues that fit a user's quota of events */
#define LONG_NAME 255
#define ERRNOS 256
#define STACK_BYTES (32 * 1024)

static const char *mount_path;

/* Shared with the children. */
static struct {
  unsigned long done, refused;
  unsigned long by_errno[ERRNOS];
  bool attacks;
} * tally;

static long count(long result) {
  int error = errno;
  __atomic_fetch_add(result >= 0 ? &tally->done : &tally->refused, 1, __ATOMIC_RELAXED);
  if (result < 0)
    __atomic_fetch_add(&tally->by_errno[(unsigned)error % ERRNOS], 1, __ATOMIC_RELAXED);
  errno = error;
  return result;
}

static void begun(void) { __atomic_store_n(&tally->attacks, true, __ATOMIC_RELEASE); }

__attribute__((format(printf, 2, 3))) static char *format(char *path, const char *pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  vsnprintf(path, PATH_MAX, pattern, arguments);
  va_end(arguments);
  return path;
}

__attribute__((noreturn)) static void wait_for_ever(void) {
  for (;;) pause();
}

/* Runs `work(n)` in `count` children. */
static void fork_each(long children, void (*work)(long)) {
  for (long n = 0; n < children; n++)
    if (fork_child() == 0) work(n), _exit(0);
}

static void start_thread(void *(*work)(void *), void *argument) {
  static pthread_attr_t attributes;
  static bool is_made;
  if (!is_made)
    pthread_attr_init(&attributes), pthread_attr_setstacksize(&attributes, STACK_BYTES),
        is_made = true;
  pthread_t thread;
  count(pthread_create(&thread, &attributes, work, argument) == 0 ? 0 : -1);
}

/* Returns the path of the caller's own directory; `n` distinguishes those of one process. */
static char *own_path(char *path, long n) {
  return format(path, "%s/%d.%ld", mount_path, (int)getpid(), n);
}

/* Waits for room: the daemon frees what dead owners held in turns. */
static void make_own(char *path, long n) {
  for (int tries = 0; mkdir(own_path(path, n), 0700) != 0; tries++) {
    if (errno != EDQUOT || tries == 10000) die("%s: mkdir: %m", path);
    usleep(1000);
  }
}

/* Makes a directory that no event comes to. */
static void make_closed(char *path, long n) {
  make_own(path, n);
  if (setxattr(path, "user.eventfs.filter", "NONE==1", 7, 0) != 0) die("%s: setxattr: %m", path);
}

/* Removes a directory, after the events that have come meanwhile. */
static void remove_own(const char *path) {
  char head[PATH_MAX];
  if (count(rmdir(path)) == 0 || errno != ENOTEMPTY) return;
  setxattr(path, "user.eventfs.filter", "NONE==1", 7, 0);
  format(head, "%s/head", path);
  while (count(unlink(head)) == 0) continue;
  count(rmdir(path));
}

/* Returns the path of a file with a name of 255 bytes. */
static char *long_name(char *path, const char *directory, long n) {
  return format(path, "%s/%0*ld", directory, LONG_NAME, n);
}

static char *short_name(char *path, const char *directory, long n) {
  return format(path, "%s/f%ld", directory, n);
}

static void make_files(const char *directory, long files,
                       char *(*name)(char *, const char *, long)) {
  char path[PATH_MAX];
  for (long n = 0; n < files; n++) count(mknod(name(path, directory, n), S_IFREG | 0600, 0));
}

static int open_own(const char *directory, const char *name, int flags) {
  char path[PATH_MAX];
  return (int)count(open(format(path, "%s/%s", directory, name), flags | O_CLOEXEC, 0600));
}

/*
 * Starts a child that makes directories and files and then waits. It has made them when this
 * returns.
 */
static pid_t start_victim_of_death(void (*prepare)(void)) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) die("pipe: %m");
  pid_t child = fork_child();
  if (child == 0) {
    prepare();
    if (write(ready[1], "", 1) != 1) die("write: %m");
    wait_for_ever();
  }
  close(ready[1]);
  char byte;
  if (read(ready[0], &byte, 1) != 1) die("a child has failed");
  close(ready[0]);
  return child;
}

/* Starts owners that hold much, and kills each before the next. */
static void kill_again_and_again(void (*prepare)(void)) {
  for (;;) {
    pid_t child = start_victim_of_death(prepare);
    begun();
    sleep_ns(PAUSE_NS);
    end_child(child);
  }
}

#endif
