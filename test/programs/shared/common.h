/*
 * The functions that all of these programs need: errors, a clock, children. Include it first: it
 * asks libc for its Linux extensions.
 */
#ifndef PROGRAMS_COMMON_H
#define PROGRAMS_COMMON_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/*
 * Undoes the effects that would outlive the program (a mount). Signal handlers call it too: it may
 * only make system calls.
 */
static void (*before_death)(void);

/* Shared with the children, once there are any: whether a process has printed an error. */
static int *error_is_told;

/*
 * Only the first process to fail, of the parent and its children, prints its error: later ones
 * follow from it.
 */
static inline bool may_tell_error(void) {
  return !error_is_told || __atomic_exchange_n(error_is_told, 1, __ATOMIC_RELAXED) == 0;
}

/* Prints one line on stderr and exits with 1. `%m` in `format` is errno's text. */
__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  if (before_death) before_death();
  if (may_tell_error()) dprintf(STDERR_FILENO, "%s: %s\n", program_invocation_short_name, message);
  _exit(1);
}

static inline void on_time_limit(int signal_number) {
  (void)signal_number;
  static const char message[] = "the time limit is reached\n"; /* no printf in a signal handler */
  if (before_death) before_death();
  if (may_tell_error() && write(STDERR_FILENO, message, sizeof message - 1) < 0) _exit(2);
  _exit(1);
}

/*
 * Ends the program with an error after `seconds`, so that a filesystem that does not answer can't
 * hang it.
 */
static inline void limit_time(unsigned seconds) {
  signal(SIGALRM, on_time_limit);
  alarm(seconds);
}

/* Parses a whole number of the command line. */
static inline long parse_number(const char *text, const char *name, long least, long most) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno || end == text || *end || value < least || value > most)
    die("%s: '%s' is not a number from %ld to %ld", name, text, least, most);
  return value;
}

static inline uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline void sleep_ns(uint64_t ns) {
  struct timespec pause = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
  nanosleep(&pause, NULL);
}

static inline int compare_doubles(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static inline void sort_doubles(double *values, size_t count) {
  qsort(values, count, sizeof *values, compare_doubles);
}

/*
 * Returns the value below which `fraction` of the sorted values lie, interpolated: 0.5 is the
 * median. Returns 0 for no values.
 */
static inline double quantile(const double *sorted, size_t count, double fraction) {
  if (count == 0) return 0;
  double place = fraction * (double)(count - 1);
  size_t below = (size_t)place;
  size_t above = below + 1 < count ? below + 1 : below;
  return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

/* Returns zeroed memory that is shared with the children. */
static inline void *map_shared(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("mmap: %m");
  return memory;
}

/* fork(2), but the child dies with this process, however that ends. */
static inline pid_t fork_child(void) {
  if (!error_is_told) error_is_told = map_shared(sizeof *error_is_told);
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) die("fork: %m");
  if (child > 0) return child;
  before_death = NULL;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) die("prctl: %m");
  if (getppid() != parent) _exit(1); /* the parent died before prctl(2) */
  return 0;
}

/* Kills a child and waits until it has ended. */
static inline void end_child(pid_t child) {
  kill(child, SIGKILL);
  while (waitpid(child, NULL, 0) < 0)
    if (errno != EINTR) die("waitpid %d: %m", (int)child);
}

/*
 * Dies if a child has ended: children end only by failure, and have printed the error, or were
 * killed.
 */
static inline void expect_children_alive(void) {
  pid_t ended = waitpid(-1, NULL, WNOHANG);
  if (ended > 0) die("child %d ended before its time", (int)ended);
}

/*
 * Returns true if thread `tid` sleeps inside read(2) at this moment: proc(5), /proc/[pid]/syscall.
 */
static inline bool is_blocked_in_read(pid_t tid) {
  char path[64], text[32] = "";
  snprintf(path, sizeof path, "/proc/%d/syscall", (int)tid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  /* "running" while it runs, "-1 ..." while it sleeps outside of a system call */
  return length > 0 && strtol(text, NULL, 10) == SYS_read && text[0] != 'r';
}

/* Returns the number after `\nKEY=` in a record, or -1. */
static inline long long find_value(const char *record, size_t bytes, const char *key) {
  const char *found = memmem(record, bytes, key, strlen(key));
  /* A record ends with a newline, where strtoll stops */
  return found ? strtoll(found + strlen(key), NULL, 10) : -1;
}

/* Returns true if a record of any kind begins with `head`. */
static inline bool begins_with(const char *record, size_t bytes, const char *head) {
  return bytes >= strlen(head) && memcmp(record, head, strlen(head)) == 0;
}

#endif
