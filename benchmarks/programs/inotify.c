/*
 * Measures inotify of delivered events: `inotify MOUNT DAEMON COUNT`. Prints microseconds:
 *
 *   latency_us, latency_p99_us           from the write(2) to publish to the IN_CREATE, one event
 *                                        at a time
 *   notice_daemon_us, notice_helper_us   CPU time a notice, of the daemon and of its notifier,
 *                                        COUNT events at once
 *   asked_us                             CPU time of the daemon for an event in a directory without
 *                                        a watcher that a client stats before each event
 *   unasked_us                           the same if the client stats another directory
 */
#include "common.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define LIMIT_S 120
#define NOTICE_WITHIN_MS 20000

static const char *mount_path;
static pid_t daemon_pid, helper_pid;
static int publish_fd;

static void publish(void) {
  static const char text[] = "change@/devices/bench\nACTION=change\nSUBSYSTEM=bench\n";
  if (write(publish_fd, text, sizeof text - 1) != (ssize_t)sizeof text - 1) die("publish: %m");
}

/* Returns the CPU time of a process's first thread, in ns: /proc/[pid]/schedstat. */
static uint64_t cpu_ns(pid_t pid) {
  char path[64], text[64] = "";
  snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) die("%s: %m", path);
  close(fd);
  return strtoull(text, NULL, 10);
}

static pid_t child_of(pid_t pid) {
  char path[64], text[64] = "";
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) die("the daemon has no notifier");
  close(fd);
  return atoi(text);
}

static void make_directory(char *path, size_t bytes, const char *label, const char *filter) {
  snprintf(path, bytes, "%s/%d.%s", mount_path, (int)getpid(), label);
  if (mkdir(path, 0755) != 0) die("%s: mkdir: %m", path);
  char name[600];
  snprintf(name, sizeof name, "%s/.filter", path);
  int fd = open(name, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, filter, strlen(filter)) < 0) die("%s: %m", name);
  close(fd);
}

/* Waits for `count` IN_CREATEs. */
static void await_notices(int inotify, long count) {
  static char notices[65536] __attribute__((aligned(8)));
  while (count > 0) {
    struct pollfd one = {inotify, POLLIN, 0};
    if (poll(&one, 1, NOTICE_WITHIN_MS) <= 0) die("%ld notices did not come", count);
    ssize_t got = read(inotify, notices, sizeof notices);
    for (char *at = notices; at < notices + got;
         at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len)
      count--;
  }
}

static void measure_notices(const char *path, long count) {
  double *latencies = calloc((size_t)count, sizeof *latencies);
  int inotify = inotify_init1(IN_CLOEXEC);
  if (!latencies || inotify < 0 || inotify_add_watch(inotify, path, IN_CREATE) < 0)
    die("%s: inotify: %m", path);
  for (long i = 0; i < count; i++) {
    uint64_t before = now_ns();
    publish();
    await_notices(inotify, 1);
    latencies[i] = (double)(now_ns() - before) / (double)NS_PER_US;
  }
  sort_doubles(latencies, (size_t)count);
  uint64_t daemon_ns = cpu_ns(daemon_pid), helper_ns = cpu_ns(helper_pid);
  for (long i = 0; i < count; i++) publish();
  await_notices(inotify, count);
  daemon_ns = cpu_ns(daemon_pid) - daemon_ns;
  helper_ns = cpu_ns(helper_pid) - helper_ns;
  close(inotify);
  printf("latency_us=%.1f latency_p99_us=%.1f notice_daemon_us=%.2f notice_helper_us=%.2f ",
         quantile(latencies, (size_t)count, 0.5), quantile(latencies, (size_t)count, 0.99),
         (double)daemon_ns / (double)count / 1e3, (double)helper_ns / (double)count / 1e3);
  free(latencies);
}

/* Returns the daemon's CPU time an event, with a stat(2) of `path` before each event. */
static double stat_and_publish_us(const char *path, long count) {
  struct stat attributes;
  uint64_t before = cpu_ns(daemon_pid);
  for (long i = 0; i < count; i++) {
    if (stat(path, &attributes) != 0) die("%s: %m", path);
    publish();
  }
  return (double)(cpu_ns(daemon_pid) - before) / (double)count / 1e3;
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: inotify MOUNT DAEMON COUNT");
  mount_path = argv[1];
  daemon_pid = (pid_t)parse_number(argv[2], "DAEMON", 1, 1 << 22);
  helper_pid = child_of(daemon_pid);
  long count = parse_number(argv[3], "COUNT", 1, 4000);
  limit_time(LIMIT_S);
  char path[512], other[512];
  snprintf(path, sizeof path, "%s/publish", mount_path);
  publish_fd = open(path, O_WRONLY | O_CLOEXEC);
  if (publish_fd < 0) die("%s: %m", path);
  make_directory(path, sizeof path, "watched", "SUBSYSTEM=bench");
  make_directory(other, sizeof other, "other", "SUBSYSTEM=none");
  measure_notices(path, count);
  stat_and_publish_us(path, count); /* The daemon finds out that the watcher has gone. */
  double asked = stat_and_publish_us(path, count);
  double unasked = stat_and_publish_us(other, count);
  printf("asked_us=%.2f unasked_us=%.2f\n", asked, unasked);
  return 0;
}
