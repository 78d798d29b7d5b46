/*
 * Many readers of one file on one CPU: `concurrent-readers CPU FILE`. It reads one command a line,
 * and answers each with one line:
 *
 *   share N     starts N children that will read from one open file               ready
 *   go          lets them read, all at once                                       reading
 *   read N      starts N children that open the file and read it until killed     reading
 *   aio N       starts N children that open the file and read it once by          reading
 *               io_submit(2)
 *   stat PATH   starts a child that calls stat(2)                                 begun
 *   ended       whether that child ends within 20 s                               yes, or no
 *   kill        kills all children and waits for them, 10 s at most               left N
 */
#include "common.h"
#include <linux/aio_abi.h>
#include <sched.h>
#include <sys/stat.h>

#define MOST 4096
#define STAT_LIMIT_NS (20 * NS_PER_S)
#define KILL_LIMIT_NS (10 * NS_PER_S)
#define PAUSE_NS NS_PER_MS
#define READ_BYTES 65536

static pid_t children[MOST];
static size_t child_count;
static pid_t stat_child = -1;
static int go[2] = {-1, -1};

static pid_t child_of_ours(void) {
  pid_t child = fork_child();
  if (child == 0) return 0;
  if (child_count == MOST) die("too many children");
  return children[child_count++] = child;
}

/* Returns true if a process sleeps in read(2) of that descriptor: proc(5), /proc/[pid]/syscall. */
static bool reads_from(pid_t pid, int fd) {
  char path[64], text[64] = "", expected[32];
  snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
  snprintf(expected, sizeof expected, "%d 0x%x ", SYS_read, (unsigned)fd);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) die("%s: %m", path);
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 && strncmp(text, expected, strlen(expected)) == 0;
}

static void share(const char *file, long count, int *shared) {
  if (pipe2(go, O_CLOEXEC) != 0 || (*shared = open(file, O_RDONLY | O_CLOEXEC)) < 0)
    die("%s: %m", file);
  for (long i = 0; i < count; i++) {
    if (child_of_ours() != 0) continue;
    static char buffer[READ_BYTES];
    close(go[1]);
    if (read(go[0], buffer, 1) < 0) die("read: %m");
    if (read(*shared, buffer, sizeof buffer) < 0) die("%s: %m", file);
    _exit(0);
  }
  close(go[0]);
}

static void let_go(int shared) {
  close(go[1]);
  for (size_t i = 0; i < child_count; i++)
    while (!reads_from(children[i], shared)) sleep_ns(PAUSE_NS);
}

static void read_for_ever(const char *file, long count) {
  for (long i = 0; i < count; i++) {
    if (child_of_ours() != 0) continue;
    static char buffer[READ_BYTES];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die("%s: %m", file);
    while (read(fd, buffer, sizeof buffer) > 0) continue;
    _exit(0);
  }
}

/*
 * Starts children that read by io_submit(2). If the kernel reads a file synchronously, io_submit(2)
 * returns after the read has ended.
 */
static void read_by_aio(const char *file, long count) {
  for (long i = 0; i < count; i++) {
    if (child_of_ours() != 0) continue;
    static char buffer[READ_BYTES];
    aio_context_t context = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die("%s: %m", file);
    struct iocb block = {.aio_lio_opcode = IOCB_CMD_PREAD,
                         .aio_fildes = (uint32_t)fd,
                         .aio_buf = (uintptr_t)buffer,
                         .aio_nbytes = sizeof buffer};
    struct iocb *blocks[] = {&block};
    if (syscall(SYS_io_setup, 1, &context) != 0) die("io_setup: %m");
    if (syscall(SYS_io_submit, context, 1, blocks) != 1) die("io_submit: %m");
    _exit(0);
  }
}

/* Waits for a child for up to `limit_ns`; returns false if it has not ended by then. */
static bool ends_within(pid_t child, uint64_t limit_ns) {
  for (;;) {
    pid_t ended = waitpid(child, NULL, WNOHANG);
    if (ended == child || (ended < 0 && errno == ECHILD)) return true;
    if (now_ns() >= limit_ns) return false;
    sleep_ns(PAUSE_NS);
  }
}

static size_t kill_all(void) {
  size_t left = 0;
  for (size_t i = 0; i < child_count; i++) kill(children[i], SIGKILL);
  uint64_t limit_ns = now_ns() + KILL_LIMIT_NS;
  for (size_t i = 0; i < child_count; i++) left += !ends_within(children[i], limit_ns);
  child_count = 0;
  return left;
}

static void begin_stat(const char *path) {
  stat_child = child_of_ours();
  if (stat_child != 0) return;
  struct stat ignored;
  _exit(stat(path, &ignored) == 0 ? 0 : 1);
}

int main(int argc, char **argv) {
  if (argc != 3) die("usage: concurrent-readers CPU FILE");
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET((int)parse_number(argv[1], "CPU", 0, CPU_SETSIZE - 1), &cpus);
  if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) die("sched_setaffinity: %m");
  int shared = -1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (char line[512]; fgets(line, sizeof line, stdin);) {
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "share ", 6) == 0) share(argv[2], atol(line + 6), &shared), puts("ready");
    else if (strncmp(line, "read ", 5) == 0)
      read_for_ever(argv[2], atol(line + 5)), puts("reading");
    else if (strncmp(line, "aio ", 4) == 0) read_by_aio(argv[2], atol(line + 4)), puts("reading");
    else if (strcmp(line, "go") == 0) let_go(shared), puts("reading");
    else if (strncmp(line, "stat ", 5) == 0) begin_stat(line + 5), puts("begun");
    else if (strcmp(line, "ended") == 0)
      puts(ends_within(stat_child, now_ns() + STAT_LIMIT_NS) ? "yes" : "no");
    else if (strcmp(line, "kill") == 0) printf("left %zu\n", kill_all());
    else die("no such command: %s", line);
  }
  return 0;
}
