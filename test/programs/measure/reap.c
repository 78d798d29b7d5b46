/*
 * Measures how soon the daemon frees a dead owner's state without a request: `reap MOUNT DAEMONPID
 * COUNT`. An owner costs the daemon one pidfd, so /proc/DAEMONPID/fd shows the release without a
 * request on the mount. In each round an owner makes its directory and is killed; the program
 * measures the time until the pidfd is gone. Then it lists the mount once.
 */
#include "owner.h"
#include <sys/stat.h>

#define FIND_MOST_NS NS_PER_S    /* the pidfd exists before mkdir returns, if the daemon is right */
#define RELEASE_MOST_NS NS_PER_S /* later counts as `never` */
#define POLL_NS (50 * NS_PER_US)
#define LIMIT_S 60
#define ROUNDS_PER_LIMIT_S 50

static void make_directory(const char *mount) {
  char path[PATH_MAX];
  format_path(path, "%s/%d", mount, (int)getpid());
  if (mkdir(path, 0755) != 0) die("%s: mkdir: %m", path);
}

/*
 * Reads the link of one of the daemon's descriptors, or "": `anon_inode:[pidfd]`, since Linux 6.9
 * `pidfd:[<inode>]`.
 */
static void read_fd_link(pid_t daemon, int fd, char link[64]) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)daemon, fd);
  ssize_t length = readlink(path, link, 63);
  link[length > 0 ? length : 0] = '\0';
}

/* Returns the PID of one of the daemon's pidfds, or -1: pidfd_open(2), fdinfo's `Pid:`. */
static pid_t read_pidfd_pid(pid_t daemon, int fd) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)daemon, fd);
  int info_fd = open(path, O_RDONLY | O_CLOEXEC);
  if (info_fd < 0) return -1; /* closed meanwhile */
  ssize_t length = read(info_fd, text, sizeof text - 1);
  close(info_fd);
  text[length > 0 ? length : 0] = '\0';
  const char *line = strstr(text, "\nPid:");
  return line ? (pid_t)strtol(line + strlen("\nPid:"), NULL, 10) : -1;
}

/* Returns the daemon's pidfd of `owner`, or -1. */
static int find_pidfd(pid_t daemon, pid_t owner) {
  char path[64], link[64];
  int found = -1;
  snprintf(path, sizeof path, "/proc/%d/fd", (int)daemon);
  DIR *directory = opendir(path);
  if (!directory) die("%s: %m", path);
  for (struct dirent *entry; found < 0 && (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    int fd = atoi(entry->d_name);
    read_fd_link(daemon, fd, link);
    if (strstr(link, "pidfd") && read_pidfd_pid(daemon, fd) == owner) found = fd;
  }
  closedir(directory);
  return found;
}

static int await_pidfd(pid_t daemon, pid_t owner) {
  uint64_t end_ns = now_ns() + FIND_MOST_NS;
  int fd;
  while ((fd = find_pidfd(daemon, owner)) < 0) {
    if (now_ns() > end_ns) die("process %d has no pidfd of owner %d", (int)daemon, (int)owner);
    sleep_ns(NS_PER_MS);
  }
  return fd;
}

/*
 * Waits until descriptor `fd` of the daemon no longer has that link; returns false after a time
 * limit.
 */
static bool await_release(pid_t daemon, int fd, const char *link) {
  char link_now[64];
  uint64_t end_ns = now_ns() + RELEASE_MOST_NS;
  for (;;) {
    read_fd_link(daemon, fd, link_now);
    if (strcmp(link, link_now) != 0) return true;
    if (now_ns() > end_ns) return false;
    sleep_ns(POLL_NS);
  }
}

/* Returns the milliseconds from the kill to the release; negative if the release did not come. */
static double run_round(const char *mount, pid_t daemon, long *listed) {
  char link[64];
  pid_t owner = start_owner(mount, make_directory);
  int fd = await_pidfd(daemon, owner);
  read_fd_link(daemon, fd, link);
  uint64_t killed_ns = now_ns();
  end_child(owner);
  bool released = await_release(daemon, fd, link);
  double delay_ms = (double)(now_ns() - killed_ns) / (double)NS_PER_MS;
  if (is_listed(mount, owner)) (*listed)++;
  return released ? delay_ms : -1;
}

int main(int argc, char **argv) {
  if (argc != 4) die("usage: reap MOUNT DAEMONPID COUNT");
  const char *mount = argv[1];
  pid_t daemon = (pid_t)parse_number(argv[2], "DAEMONPID", 1, INT_MAX);
  long count = parse_number(argv[3], "COUNT", 1, 100000);
  limit_time((unsigned)(LIMIT_S + count / ROUNDS_PER_LIMIT_S));
  prctl(PR_SET_TIMERSLACK, 1000ul); /* ns: the default adds 50 us to each sleep */

  double *delays_ms = calloc((size_t)count, sizeof *delays_ms);
  if (!delays_ms) die("calloc: %m");
  size_t measured = 0;
  long listed = 0, never = 0;
  for (long i = 0; i < count; i++) {
    double delay_ms = run_round(mount, daemon, &listed);
    if (delay_ms < 0) never++;
    else delays_ms[measured++] = delay_ms;
  }
  sort_doubles(delays_ms, measured);
  printf("median_ms=%.3f p99_ms=%.3f max_ms=%.3f listed=%ld never=%ld count=%ld\n",
         quantile(delays_ms, measured, 0.5), quantile(delays_ms, measured, 0.99),
         quantile(delays_ms, measured, 1), listed, never, count);
  return 0;
}
