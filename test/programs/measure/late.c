/*
 * Events that come after a death: `late MOUNT ROUNDS LOAD KIND`. In each round a reader blocks in
 * read(2) on the `.stream` of another process. The program kills that process and sees its death.
 * Then an event comes, without any request of the reader. The reader must get ESTALE, and never the
 * event.
 *
 *   uevent   the kernel sends it (a mount with the kernel source)
 *   publish  write(2) to `publish`
 *   header   close(2) of a `publish` in which a header waits for its properties
 *   exit     the same, by the end of the process that has it open
 *   file     close(2) of a file in the dead directory that is open for writing
 *
 * LOAD processes keep the daemon busy meanwhile: with uevents for `uevent`, else with statfs(2).
 * The program sees the death by waitpid(2), by waitid(2) with WNOWAIT, and by poll(2) of a pidfd,
 * in turn.
 */
#include "owner.h"
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define LIMIT_S 600
#define MOST_LOAD 16
#define ROUND_LIMIT_NS (10 * NS_PER_S)

static const char *mount_path, *kind;
static int stream, zero_uevent;
static char text[1 << 16];
static ssize_t result;
static int result_errno, is_done;
static pid_t reader_tid;

static bool is_kind(const char *name) { return strcmp(kind, name) == 0; }

/* Makes a directory whose filter matches only the events of this round. */
static void make_directory(const char *mount) {
  char path[PATH_MAX];
  format_path(path, "%s/%d", mount, (int)getpid());
  if (mkdir(path, 0755) != 0) die("%s: mkdir: %m", path);
  if (!is_kind("uevent")) return;
  format_path(path, "%s/%d/.filter", mount, (int)getpid());
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  char filter[64];
  int length = snprintf(filter, sizeof filter, "SYNTH_ARG_OWNER==%d", (int)getpid());
  if (fd < 0 || write(fd, filter, (size_t)length) != length) die("%s: %m", path);
  close(fd);
  /* Events that came before the filter was set. */
  format_path(path, "%s/%d/.stream", mount, (int)getpid());
  fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  while (read(fd, text, sizeof text) > 0) continue;
  close(fd);
}

static void *read_stream(void *unused) {
  __atomic_store_n(&reader_tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
  result = read(stream, text, sizeof text);
  result_errno = errno;
  __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
  return unused;
}

static pid_t start_load(void) {
  pid_t child = fork_child();
  if (child != 0) return child;
  int fd = is_kind("uevent") ? open("/sys/class/mem/null/uevent", O_WRONLY | O_CLOEXEC) : -1;
  struct statfs budget;
  for (;;) {
    if (fd >= 0 && pwrite(fd, "change", 6, 0) != 6) die("uevent: %m");
    if (fd < 0 && statfs(mount_path, &budget) != 0) die("%s: statfs: %m", mount_path);
  }
}

static void see_death(pid_t owner, long round) {
  int pidfd = (int)syscall(SYS_pidfd_open, owner, 0);
  struct pollfd watched = {.fd = pidfd, .events = POLLIN};
  siginfo_t information;
  kill(owner, SIGKILL);
  if (round % 3 == 0) waitpid(owner, NULL, 0);
  else if (round % 3 == 1) waitid(P_PID, (id_t)owner, &information, WEXITED | WNOWAIT);
  else
    while (poll(&watched, 1, 0) < 1) continue;
  close(pidfd);
}

/* Returns the event's source: a descriptor, or for `exit` the PID of a process that has one. */
static int open_event(pid_t owner) {
  char path[PATH_MAX];
  if (is_kind("uevent")) return -1;
  if (is_kind("file")) format_path(path, "%s/%d/late", mount_path, (int)owner);
  else format_path(path, "%s/publish", mount_path);
  int fd = open(path, O_WRONLY | O_CLOEXEC | (is_kind("file") ? O_CREAT : 0), 0600);
  if (fd < 0) die("%s: %m", path);
  static const char file[] = "add@/late\nA=b\n", header[] = "change@/late";
  if (is_kind("file") && write(fd, file, sizeof file - 1) < 0) die("%s: write: %m", path);
  if ((is_kind("header") || is_kind("exit")) && write(fd, header, sizeof header - 1) < 0)
    die("%s: write: %m", path);
  if (!is_kind("exit")) return fd;
  pid_t holder = fork_child();
  if (holder == 0)
    for (;;) pause();
  close(fd);
  return (int)holder;
}

static void send_event(int source, pid_t owner) {
  char uevent[128];
  static const char whole[] = "change@/late\nACTION=change\nA=b\n";
  if (is_kind("uevent")) {
    int length = snprintf(uevent, sizeof uevent, "change 12345678-1234-1234-1234-%012d OWNER=%d",
                          (int)owner, (int)owner);
    if (pwrite(zero_uevent, uevent, (size_t)length, 0) != length) die("uevent: %m");
  } else if (is_kind("exit")) {
    end_child(source);
  } else {
    if (is_kind("publish") && write(source, whole, sizeof whole - 1) < 0) die("publish: %m");
    close(source);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) die("usage: late MOUNT ROUNDS LOAD uevent|publish|header|exit|file");
  mount_path = argv[1];
  long rounds = parse_number(argv[2], "ROUNDS", 1, 1000000),
       load = parse_number(argv[3], "LOAD", 0, MOST_LOAD);
  kind = argv[4];
  limit_time(LIMIT_S);
  pid_t loads[MOST_LOAD];
  for (long i = 0; i < load; i++) loads[i] = start_load();
  zero_uevent = open("/sys/class/mem/zero/uevent", O_WRONLY | O_CLOEXEC);
  long stale = 0, refused = 0, other = 0, stuck = 0;
  for (long round = 0; round < rounds && stuck == 0; round++) {
    pid_t owner = start_owner(mount_path, make_directory);
    char path[PATH_MAX];
    format_path(path, "%s/%d/.stream", mount_path, (int)owner);
    stream = open(path, O_RDONLY | O_CLOEXEC);
    if (stream < 0) die("%s: %m", path);
    int source = open_event(owner);
    is_done = 0;
    reader_tid = 0;
    pthread_t reader;
    if (pthread_create(&reader, NULL, read_stream, NULL) != 0) die("pthread_create: %m");
    while (!__atomic_load_n(&reader_tid, __ATOMIC_ACQUIRE)) sched_yield();
    while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE) && !is_blocked_in_read(reader_tid))
      sleep_ns(50 * NS_PER_US);
    sleep_ns(200 * NS_PER_US); /* until the daemon has the request */
    see_death(owner, round);
    send_event(source, owner);
    uint64_t end_ns = now_ns() + ROUND_LIMIT_NS;
    while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE) && now_ns() < end_ns)
      sleep_ns(20 * NS_PER_US);
    if (!is_done) stuck++;
    else if (pthread_join(reader, NULL) == 0 && result > 0) stale++;
    else if (result < 0 && result_errno == ESTALE) refused++;
    else other++;
    close(stream);
    waitpid(owner, NULL, 0);
  }
  for (long i = 0; i < load; i++) end_child(loads[i]);
  printf("rounds=%ld stale=%ld estale=%ld other=%ld stuck=%ld\n", rounds, stale, refused, other,
         stuck);
  return 0;
}
