/*
 * An unprivileged user who tries to stall or end the daemon: `hostile ATTACK MOUNT`. Without
 * arguments it lists the attacks.
 *
 * It prints `attacking` once its preparations are over, and twenty times a second `done N refused M
 * ERRNO M1 ...`: the numbers of the attack's system calls that have succeeded and failed so far,
 * with the errnos. It runs until it is killed, or for LIMIT_S. Its children die with it.
 */
#include "common.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#define LIMIT_S 120
#define PAUSE_NS (100 * NS_PER_MS)
#define QUEUE_EVENTS 4096
#define EVENT_BYTES 65536
#define WRITE_BYTES (128 * 1024)
#define FULL_DIRECTORIES 16 /* a user's quota of events has room for so many full queues */
#define LONG_NAME 255
#define ERRNOS 256
#define STACK_BYTES (32 * 1024)

static const char *mount_path;

/* Shared with the children. */
static struct {
  unsigned long done, refused;
  unsigned long by_errno[ERRNOS];
  bool attacks;
} *tally;

/* --- helpers of the attacks --- */

static long count(long result) {
  int error = errno;
  __atomic_fetch_add(result >= 0 ? &tally->done : &tally->refused, 1, __ATOMIC_RELAXED);
  if (result < 0) __atomic_fetch_add(&tally->by_errno[(unsigned)error % ERRNOS], 1, __ATOMIC_RELAXED);
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
  if (!is_made) pthread_attr_init(&attributes), pthread_attr_setstacksize(&attributes, STACK_BYTES), is_made = true;
  pthread_t thread;
  count(pthread_create(&thread, &attributes, work, argument) == 0 ? 0 : -1);
}

/* Returns the path of the caller's own directory; `n` distinguishes those of one process. */
static char *own_path(char *path, long n) { return format(path, "%s/%d.%ld", mount_path, (int)getpid(), n); }

static void make_own(char *path, long n) {
  if (mkdir(own_path(path, n), 0700) != 0) die("%s: mkdir: %m", path);
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

static char *short_name(char *path, const char *directory, long n) { return format(path, "%s/f%ld", directory, n); }

static void make_files(const char *directory, long files, char *(*name)(char *, const char *, long)) {
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

/* --- filters --- */

/*
 * Writes a filter of sets of bytes between stars that match everywhere but at the end: the daemon
 * tries each at every position of a long value of V.
 */
static size_t costly_filter(char *text, size_t bytes) {
  size_t at = 0;
  for (bool first = true; at + 1024 <= bytes || first; first = false) {
    at += (size_t)sprintf(text + at, first ? "V==*" : "|*");
    size_t end = bytes < 1024 ? bytes : at + 1000;
    while (at + 16 < end) at += (size_t)sprintf(text + at, "[ab]");
    at += (size_t)sprintf(text + at, "c*");
  }
  return at;
}

/* Writes many short rules, which take the longest to parse. */
static size_t many_rules(char *text, size_t bytes) {
  for (size_t at = 0; at + 4 <= bytes; at += 4) memcpy(text + at, "A=b\n", 4);
  return bytes / 4 * 4;
}

/* Writes the longest filter, which is quick to match. */
static size_t long_filter(char *text, size_t bytes) {
  memcpy(text, "NONE==", 6);
  memset(text + 6, 'x', bytes - 6);
  return bytes;
}

/* Writes as many values of SUBSYSTEM as fit, which no other filter has. */
static size_t many_subsystems(char *text, size_t bytes) {
  static unsigned long next;
  size_t at = (size_t)sprintf(text, "SUBSYSTEM==%lx", next++);
  while (at + 20 < bytes) at += (size_t)sprintf(text + at, "|%lx", next++);
  return at;
}

/* Writes the largest of the filters that the daemon accepts; returns false if it accepts none. */
static bool set_largest(const char *directory, size_t (*make)(char *, size_t)) {
  static char text[WRITE_BYTES + 4096];
  int fd = open_own(directory, ".filter", O_WRONLY);
  if (fd < 0) return false;
  bool is_set = false;
  for (size_t bytes = WRITE_BYTES; bytes >= 64 && !is_set; bytes /= 2) is_set = count(pwrite(fd, text, make(text, bytes), 0)) > 0;
  close(fd);
  return is_set;
}

static void filters(void) {
  char path[PATH_MAX];
  for (long n = 0; count(mkdir(own_path(path, n), 0700)) == 0; n++)
    if (!set_largest(path, costly_filter)) break;
  begun();
  wait_for_ever();
}

/* Makes directories that end with their owner, all at once. */
static void filter_subsystems(void) {
  char path[PATH_MAX];
  for (long n = 0; count(mkdir(own_path(path, n), 0700)) == 0; n++)
    if (!set_largest(path, many_subsystems)) break;
  begun();
  wait_for_ever();
}

static void append_filters(long n) {
  char directory[PATH_MAX], filter[PATH_MAX];
  make_own(directory, n);
  format(filter, "%s/.filter", directory);
  begun();
  for (;;) {
    int fd = (int)count(open(filter, O_WRONLY | O_APPEND | O_CLOEXEC));
    while (count(write(fd, "A=b\n", 4)) == 4) continue;
    close(fd);
    count(truncate(filter, 0));
  }
}

static void filter_append(void) { fork_each(4, append_filters); }

static void write_filters(long n) {
  static char text[WRITE_BYTES];
  char path[PATH_MAX];
  make_own(path, n);
  begun();
  for (int fd = open_own(path, ".filter", O_WRONLY);;)
    for (size_t bytes = sizeof text; bytes >= 64; bytes /= 2) count(pwrite(fd, text, many_rules(text, bytes), 0));
}

static void filter_write(void) { fork_each(4, write_filters); }

static void set_filters(long n) {
  static char text[65536];
  char path[PATH_MAX];
  make_own(path, n);
  begun();
  for (size_t bytes = sizeof text;; bytes = bytes > 64 ? bytes / 2 : sizeof text)
    count(setxattr(path, "user.eventfs.filter", text, many_rules(text, bytes), 0));
}

static void filter_xattr(void) { fork_each(4, set_filters); }

/* Makes the daemon match the whole log again by a single write, again and again. */
static void since_filters(long n) {
  char path[PATH_MAX];
  make_own(path, n);
  set_largest(path, costly_filter);
  begun();
  for (int fd = open_own(path, ".since", O_WRONLY);;) count(pwrite(fd, "0\n", 2, 0));
}

static void since_filter(void) { fork_each(4, since_filters); }

static void rewrite_since(long n) {
  char path[PATH_MAX];
  begun();
  for (;;) {
    count(mkdir(own_path(path, n), 0700));
    int fd = open_own(path, ".since", O_WRONLY);
    for (int i = 0; i < 10; i++) count(pwrite(fd, "0\n", 2, 0));
    close(fd);
    remove_own(path);
  }
}

static void since(void) { fork_each(4, rewrite_since); }

/* --- memory --- */

static void truncates(void) {
  char directory[PATH_MAX], path[PATH_MAX];
  int fds[1024];
  size_t files = 0;
  for (long n = 0; n < 16; n++) {
    make_own(directory, n);
    for (long i = 0; i < 64; i++) {
      fds[files] = open(short_name(path, directory, i), O_WRONLY | O_CREAT, 0600);
      if (fds[files] < 0) die("%s: %m", path);
      files++;
    }
  }
  begun();
  for (;;)
    for (size_t i = 0; i < files; i++) {
      count(ftruncate(fds[i], EVENT_BYTES));
      count(ftruncate(fds[i], 0));
    }
}

/* Cuts files to nothing. Such a file counts as nothing, so it must take no memory. */
static void cut_files(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_closed(directory, n);
  make_files(directory, 4000, short_name);
  begun();
  for (long i = 0;; i = (i + 1) % 4000) {
    count(truncate(short_name(path, directory, i), EVENT_BYTES));
    count(truncate(path, 0));
  }
}

static void cuts(void) { fork_each(4, cut_files); }

/* Opens files whose text is made at open, until it runs out of descriptors. */
static void keep_open(long n) {
  char path[PATH_MAX];
  make_own(path, n);
  set_largest(path, long_filter);
  begun();
  char filter[PATH_MAX], status[PATH_MAX], log[PATH_MAX];
  format(filter, "%s/.filter", path), format(status, "%s/.status", path), format(log, "%s/log/.status", mount_path);
  const char *const files[] = {filter, status, log};
  for (;;) {
    int last = -1;
    for (int i = 0, fd; (fd = (int)count(open(files[i % 3], O_RDONLY | O_CLOEXEC))) >= 0; i++) last = fd;
    close_range((unsigned)STDERR_FILENO + 1, (unsigned)(last < 0 ? STDERR_FILENO + 1 : last), 0);
  }
}

static void opens(void) { fork_each(4, keep_open); }

static void keep_directories_open(long n) {
  char path[PATH_MAX], log[PATH_MAX];
  make_own(path, n);
  begun();
  format(log, "%s/log", mount_path);
  const char *const directories[] = {mount_path, path, log};
  for (;;) {
    int last = -1;
    for (int i = 0, fd; (fd = (int)count(open(directories[i % 3], O_RDONLY | O_DIRECTORY | O_CLOEXEC))) >= 0; i++) last = fd;
    close_range((unsigned)STDERR_FILENO + 1, (unsigned)(last < 0 ? STDERR_FILENO + 1 : last), 0);
  }
}

static void opendirs(void) { fork_each(4, keep_directories_open); }

/* --- blocked readers --- */

static void ignore_signal(int signal_number) { (void)signal_number; }

/* Reads until a read is refused: as many threads stay as the quota allows, and the rest end. */
static void *read_for_ever(void *fd) {
  char record[4096];
  while (count(read(*(int *)fd, record, sizeof record)) >= 0 || errno == EINTR) continue;
  return NULL;
}

/* Starts threads that block in reads of `path`. */
static void block_threads(const char *path, long threads) {
  static int fd;
  fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  for (long i = 0; i < threads; i++) start_thread(read_for_ever, &fd);
}

/* Blocks readers whose filter matches nothing: they stay blocked until they are killed. */
static void block_readers(void) {
  char path[PATH_MAX];
  block_threads(format(path, "%s/match/NONE=%d", mount_path, (int)getpid()), 1000);
}

static void kill_readers_of_streams(void) {
  for (;;) {
    pid_t children[6];
    for (size_t i = 0; i < sizeof children / sizeof *children; i++) children[i] = start_victim_of_death(block_readers);
    begun();
    sleep_ns(3 * PAUSE_NS);
    for (size_t i = 0; i < sizeof children / sizeof *children; i++) kill(children[i], SIGKILL);
    for (size_t i = 0; i < sizeof children / sizeof *children; i++) end_child(children[i]);
  }
}

/* The directory of streams whose owner dies while the readers live. */
static char owners_path[PATH_MAX];

static void own_what_is_read(void) { make_own(owners_path, 0); }

static void kill_owners_of_streams(void) {
  for (;;) {
    pid_t owner = start_victim_of_death(own_what_is_read);
    char path[PATH_MAX];
    format(path, "%s/%d.0/.stream", mount_path, (int)owner);
    pid_t readers[4];
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
      readers[i] = fork_child();
      if (readers[i] != 0) continue;
      setxattr(format(owners_path, "%s/%d.0", mount_path, (int)owner), "user.eventfs.filter", "NONE=1", 6, 0);
      block_threads(path, 1000);
      wait_for_ever();
    }
    sleep_ns(5 * PAUSE_NS);
    begun();
    end_child(owner);
    sleep_ns(PAUSE_NS);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) end_child(readers[i]);
  }
}

static pthread_t interrupted[2000];

static void interrupt_readers(long n) {
  char path[PATH_MAX];
  int fd = open(format(path, "%s/match/NONE=%ld", mount_path, n), O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  struct sigaction action = {.sa_handler = ignore_signal}; /* no SA_RESTART */
  sigaction(SIGUSR1, &action, NULL);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  size_t threads = 0;
  for (; threads < sizeof interrupted / sizeof *interrupted; threads++)
    if (pthread_create(&interrupted[threads], &attributes, read_for_ever, &fd) != 0) break;
  begun();
  for (;;)
    for (size_t i = 0; i < threads; i++) pthread_kill(interrupted[i], SIGUSR1);
}

static void interrupts(void) { fork_each(2, interrupt_readers); }

/* Blocks readers in many groups, whose filters all match every event. */
static void block_on_matches(long n) {
  static int fds[250];
  char path[PATH_MAX];
  for (long i = 0; i < 250; i++) {
    fds[i] = (int)count(open(format(path, "%s/match/NONE!=%ld", mount_path, n * 250 + i), O_RDONLY | O_CLOEXEC));
    if (fds[i] < 0) continue;
    for (int thread = 0; thread < 8; thread++) start_thread(read_for_ever, &fds[i]);
  }
  begun();
  wait_for_ever();
}

static void readers(void) { fork_each(4, block_on_matches); }

/* Sleeps in poll(2) of one file. Many threads do: the daemon's wake-up wakes all of them. */
static void *poll_for_ever(void *fd) {
  char record[4096];
  for (;;) {
    struct pollfd one = {.fd = *(int *)fd, .events = POLLIN};
    count(poll(&one, 1, -1));
    while (read(one.fd, record, sizeof record) > 0) continue;
  }
  return NULL;
}

static void poll_one(long n) {
  static int fd;
  char path[PATH_MAX];
  fd = open(format(path, "%s/%s", mount_path, n % 2 ? "stream" : "match/A!=b"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  for (int thread = 0; thread < 1000; thread++) start_thread(poll_for_ever, &fd);
  begun();
  wait_for_ever();
}

static void pollers(void) { fork_each(4, poll_one); }

/* Adds one stream to as many epoll sets as there are descriptors for. */
static void epoll_one(long n) {
  char path[PATH_MAX];
  int fd = open(format(path, "%s/match/N!=%ld", mount_path, n), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("%s: %m", path);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET};
  for (int set; (set = (int)count(epoll_create1(EPOLL_CLOEXEC))) >= 0;) count(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
  begun();
  for (char record[65536];;) {
    sleep_ns(5 * NS_PER_MS);
    count(read(fd, record, sizeof record));
    struct pollfd one = {.fd = fd, .events = POLLIN};
    count(poll(&one, 1, 0));
  }
}

static void epolls(void) { fork_each(4, epoll_one); }

/* Opens as many streams as the quota allows, and polls each. */
static void poll_streams(void) {
  char path[PATH_MAX];
  int set = epoll_create1(EPOLL_CLOEXEC);
  static int fds[4096];
  size_t streams = 0;
  format(path, "%s/stream", mount_path);
  for (; streams < sizeof fds / sizeof *fds; streams++) {
    fds[streams] = (int)count(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (fds[streams] < 0) break;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fds[streams]};
    count(epoll_ctl(set, EPOLL_CTL_ADD, fds[streams], &event));
  }
  begun();
  for (struct epoll_event events[64];;) count(epoll_wait(set, events, 64, -1));
}

/* --- events and their links --- */

static void link_in_one(void) {
  char directory[PATH_MAX], path[PATH_MAX], first[PATH_MAX];
  make_closed(directory, 0);
  format(first, "%s/event", directory);
  count(mknod(first, S_IFREG | 0600, 0));
  for (long n = 0; n < FULL_DIRECTORIES; n++) {
    if (n > 0) make_closed(directory, n);
    for (long i = 0; i < QUEUE_EVENTS - 2; i++) count(link(first, short_name(path, directory, i)));
  }
}

static void links(void) { kill_again_and_again(link_in_one); }

/* Adds one byte at a time to an event that has tens of thousands of links. */
static void link_and_write(void) {
  char path[PATH_MAX];
  link_in_one();
  int fd = open(format(path, "%s/%d.0/event", mount_path, (int)getpid()), O_WRONLY | O_CLOEXEC);
  begun();
  for (;;) {
    count(pwrite(fd, "x", 1, 0));
    for (long bytes = 1; bytes < 500; bytes++) count(pwrite(fd, "x", 1, bytes));
    count(ftruncate(fd, 0));
  }
}

/*
 * Links one event in each of many full directories. As it grows, each directory drops thousands of
 * its oldest events.
 */
static void grow(void) {
  char directory[PATH_MAX], path[PATH_MAX], first[PATH_MAX];
  for (long n = 0; n < 12; n++) {
    make_closed(directory, n);
    make_files(directory, 4000, short_name);
    for (long i = 0; i < 63; i++) {
      int fd = (int)count(open(format(path, "%s/large%ld", directory, i), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
      count(ftruncate(fd, EVENT_BYTES));
      close(fd);
    }
    if (n == 0) count(mknod(format(first, "%s/event", directory), S_IFREG | 0600, 0));
    else count(link(first, format(path, "%s/event", directory)));
  }
  begun();
  count(truncate(first, EVENT_BYTES));
  count(truncate(first, EVENT_BYTES));
  _exit(0);
}

static void grows(void) {
  for (;;) {
    pid_t child = fork_child();
    if (child == 0) grow();
    waitpid(child, NULL, 0);
  }
}

static void fill_directories(void) {
  char directory[PATH_MAX];
  for (long n = 0; n < FULL_DIRECTORIES; n++) {
    make_closed(directory, n);
    make_files(directory, QUEUE_EVENTS - 1, long_name);
  }
}

static void files(void) { kill_again_and_again(fill_directories); }

static void rename_files(long n) {
  char here[PATH_MAX], there[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
  make_own(here, n);
  make_own(there, n + 100);
  make_files(here, 4000, long_name);
  begun();
  for (long i = 0;; i = (i + 1) % 4000) {
    count(rename(long_name(from, here, i), long_name(to, there, i)));
    count(rename(long_name(from, there, i), short_name(to, here, i)));
    count(rename(short_name(from, here, i), long_name(to, here, i)));
  }
}

static void renames(void) { fork_each(4, rename_files); }

static void create_files(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  begun();
  for (long i = 0;; i++) {
    int fd = (int)count(open(long_name(path, directory, i % 2000), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    count(write(fd, "add@/x\n", 7));
    close(fd);
    if (i >= 1000) count(unlink(long_name(path, directory, (i - 1000) % 2000)));
  }
}

static void creates(void) { fork_each(8, create_files); }

/*
 * Fills the head of a queue with files that are still open for writing, with readers and pollers
 * that wait for it.
 */
static void write_for_ever(void) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, 0);
  for (long i = 0; i < 3900; i++) count(open(short_name(path, directory, i), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  format(path, "%s/.stream", directory);
  static int fds[500];
  int set = epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
    fds[i] = (int)count(open(path, O_RDONLY | O_CLOEXEC));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    count(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &event));
    start_thread(read_for_ever, &fds[i]);
  }
  begun();
  for (struct epoll_event events[64];;) count(epoll_wait(set, events, 64, -1));
}

/* Reads many events behind a head that is still open for writing. */
static void read_behind(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  static char records[WRITE_BYTES];
  make_own(directory, n);
  for (long i = 0; i < 2000; i++) count(open(short_name(path, directory, i), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  int fd = open_own(directory, ".stream", O_RDONLY | O_NONBLOCK);
  begun();
  for (;;) {
    for (long i = 2000; i < 4000; i++) count(mknod(short_name(path, directory, i), S_IFREG | 0600, 0));
    while (count(read(fd, records, sizeof records)) > 0) continue;
  }
}

static void reads_behind(void) { fork_each(4, read_behind); }

/* --- names --- */

static long long next_seqnum(void) {
  char path[PATH_MAX], text[65536];
  int fd = open(format(path, "%s/log/.status", mount_path), O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  close(fd);
  return length <= 0 ? 0 : find_value(text, (size_t)length, "\nSEQNUM=");
}

/* Returns the n of the newest event's name, <seqnum>.<n>, from the listing of the log. */
static long newest_event(long long seqnum) {
  char path[PATH_MAX], entries[65536];
  int log = open(format(path, "%s/log", mount_path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  long newest = 0;
  for (ssize_t bytes; (bytes = syscall(SYS_getdents64, log, entries, sizeof entries)) > 0;)
    for (ssize_t at = 0; at < bytes; at += *(unsigned short *)(entries + at + 16)) {
      long long whole;
      long part;
      if (sscanf(entries + at + 19, "%lld.%ld", &whole, &part) == 2 && whole == seqnum && part > newest) newest = part;
    }
  close(log);
  return newest;
}

/*
 * Takes the name of one of the next events in each directory, with all names that the event would
 * get instead.
 */
static void names(void) {
  char directory[PATH_MAX], path[PATH_MAX];
  long long seqnum = next_seqnum();
  for (long lead = 600;; lead += 600) {
    long wanted = newest_event(seqnum) + lead;
    for (long n = 0; n < FULL_DIRECTORIES / 2; n++) {
      make_own(directory, n);
      count(mknod(format(path, "%s/%lld.%ld", directory, seqnum, wanted), S_IFREG | 0600, 0));
      for (long i = 1; i < QUEUE_EVENTS - lead - 100; i++)
        count(mknod(format(path, "%s/%lld.%ld.%ld", directory, seqnum, wanted, i), S_IFREG | 0600, 0));
    }
    if (newest_event(seqnum) < wanted) begun();
    else lead = lead > 2400 ? 600 : lead;
    while (newest_event(seqnum) <= wanted) sleep_ns(PAUSE_NS);
    for (long n = 0; n < FULL_DIRECTORIES / 2; n++) remove_own(own_path(directory, n));
  }
}

/* --- processes --- */

static void make_directories(long n) {
  char path[PATH_MAX];
  begun();
  for (;;) {
    count(mkdir(own_path(path, n), 0700));
    remove_own(path);
    count(mkdir(format(path, "%s/%d", mount_path, (int)getppid()), 0700));
    remove_own(path);
    /* An ancestor, which the caller must not name as owner */
    count(mkdir(format(path, "%s/1", mount_path), 0700));
  }
}

static void mkdirs(void) { fork_each(8, make_directories); }

/*
 * Makes 5000 generations of processes, or fewer on a busy machine, where a generation takes long.
 */
static void deep(void) {
  uint64_t end_ns = now_ns() + 2 * NS_PER_S;
  for (int generation = 0; generation < 5000 && now_ns() < end_ns; generation++) {
    pid_t child = fork_child();
    if (child > 0) wait_for_ever();
  }
  make_directories(0);
}

static void own_one(void) {
  char path[PATH_MAX];
  make_own(path, 0);
}

static void deaths(void) {
  for (;;) {
    pid_t children[200];
    for (size_t i = 0; i < 200; i++) children[i] = start_victim_of_death(own_one);
    begun();
    for (size_t i = 0; i < 200; i++) kill(children[i], SIGKILL);
    for (size_t i = 0; i < 200; i++) end_child(children[i]), count(0);
  }
}

/* --- expensive requests, again and again --- */

static void look_up_matches(long n) {
  char path[PATH_MAX];
  struct stat attributes;
  begun();
  for (unsigned long i = 0;; i++) {
    int length = snprintf(path, sizeof path, "%s/match/N%ld_%lu==", mount_path, n, i);
    while (length + 8 < (int)strlen(mount_path) + 250) length += snprintf(path + length, sizeof path - (size_t)length, "*[a-z]|");
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
  static const char *const names[] = {"user.eventfs.filter", "user.eventfs.owner",   "user.eventfs.pending",
                                      "user.eventfs.lost",   "user.eventfs_sticky", "user.none",
                                      "constructor",         "toString",            "__proto__",
                                      "hasOwnProperty",      "security.capability"};
  static char value[65536];
  char path[PATH_MAX];
  make_own(path, n);
  set_largest(path, long_filter);
  begun();
  for (size_t i = 0;; i++) {
    const char *name = names[i % (sizeof names / sizeof *names)];
    count(getxattr(path, name, value, sizeof value));
    count(listxattr(path, value, sizeof value));
    if (strcmp(name, "user.eventfs_sticky") == 0 || strcmp(name, "user.eventfs.filter") == 0) continue;
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
    count(lseek(fd, rand_r(&seed) % 3 ? rand_r(&seed) % 4000 : ((long)rand_r(&seed) << 32 | rand_r(&seed)), SEEK_SET));
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
    while (made < 20000 && count(mknod(long_name(path, directory, made), (made % 2 ? S_IFIFO : S_IFSOCK) | 0600, 0)) == 0) made++;
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
    for (size_t instance = 0; instance < instances; instance++) count(inotify_add_watch(fds[instance], path, IN_ALL_EVENTS));
  }
  begun();
  for (long i = 0;; i = (i + 1) % 60) {
    for (size_t instance = 0; instance < instances; instance++) count(read(fds[instance], told, sizeof told));
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
static void crowd(void) { fork_each(200, stat_for_ever); }

static void flood(void) { fork_each(2000, stat_for_ever_outside); }

/* --- */

static const struct attack {
  const char *name;
  void (*run)(void);
} attacks[] = {
    {"filters", filters},
    {"filter-subsystems", filter_subsystems},
    {"filter-append", filter_append},
    {"filter-write", filter_write},
    {"filter-xattr", filter_xattr},
    {"since-filter", since_filter},
    {"since", since},
    {"truncates", truncates},
    {"cuts", cuts},
    {"opens", opens},
    {"opendirs", opendirs},
    {"reads-killed", kill_readers_of_streams},
    {"reads-owner-killed", kill_owners_of_streams},
    {"interrupts", interrupts},
    {"readers", readers},
    {"pollers", pollers},
    {"epolls", epolls},
    {"poll-streams", poll_streams},
    {"links", links},
    {"link-write", link_and_write},
    {"grows", grows},
    {"files", files},
    {"renames", renames},
    {"creates", creates},
    {"writing", write_for_ever},
    {"reads-behind", reads_behind},
    {"names", names},
    {"mkdirs", mkdirs},
    {"deep", deep},
    {"groups", mkdirs},
    {"deaths", deaths},
    {"matches", matches},
    {"status", status},
    {"statfs", statfses},
    {"xattrs", xattrs},
    {"listings", listings},
    {"attributes", attributes},
    {"specials", specials},
    {"symlinks", symlinks},
    {"watches", watches},
    {"publish", own_all_and_publish},
    {"stats", stats},
    {"crowd", crowd},
    {"flood", flood},
};

static const struct attack *find_attack(const char *name) {
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
    if (strcmp(attacks[i].name, name) == 0) return &attacks[i];
  die("no attack '%s'", name);
}

static void list_attacks(void) {
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) puts(attacks[i].name);
}

static void use_all_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit: %m");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit: %m");
}

static void print_tally(void) {
  char line[1024];
  size_t at = (size_t)snprintf(line, sizeof line, "done %lu refused %lu", tally->done, tally->refused);
  for (int error = 0; error < ERRNOS; error++) {
    if (tally->by_errno[error] == 0 || at > sizeof line - 100) continue;
    at += (size_t)snprintf(line + at, sizeof line - at, " %s %lu", strerrorname_np(error), tally->by_errno[error]);
  }
  line[at++] = '\n';
  if (write(STDOUT_FILENO, line, at) < 0) _exit(1);
}

int main(int argc, char **argv) {
  if (argc == 1) return list_attacks(), 0;
  if (argc != 3) die("usage: hostile ATTACK MOUNT");
  const struct attack *attack = find_attack(argv[1]);
  mount_path = argv[2];
  limit_time(LIMIT_S);
  use_all_descriptors();
  tally = map_shared(sizeof *tally);
  if (fork_child() == 0) {
    attack->run();
    for (;; sleep_ns(PAUSE_NS)) expect_children_alive();
  }
  for (bool attacks = false;; sleep_ns(PAUSE_NS / 2)) {
    expect_children_alive();
    if (!attacks && __atomic_load_n(&tally->attacks, __ATOMIC_ACQUIRE)) attacks = true, dprintf(STDOUT_FILENO, "attacking\n");
    print_tally();
  }
}
