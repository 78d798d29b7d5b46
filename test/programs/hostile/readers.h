/* Attacks by blocked readers and pollers. */
#ifndef PROGRAMS_HOSTILE_READERS_H
#define PROGRAMS_HOSTILE_READERS_H

#include "helpers.h"
#include <poll.h>
#include <sys/epoll.h>

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
    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
      children[i] = start_victim_of_death(block_readers);
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
      setxattr(format(owners_path, "%s/%d.0", mount_path, (int)owner), "user.eventfs.filter",
               "NONE=1", 6, 0);
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
    fds[i] = (int)count(
        open(format(path, "%s/match/NONE!=%ld", mount_path, n * 250 + i), O_RDONLY | O_CLOEXEC));
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
  fd = open(format(path, "%s/%s", mount_path, n % 2 ? "stream" : "match/A!=b"),
            O_RDONLY | O_NONBLOCK | O_CLOEXEC);
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
  for (int set; (set = (int)count(epoll_create1(EPOLL_CLOEXEC))) >= 0;)
    count(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
  begun();
  for (char record[65536];;) {
    sleep_ns(5 * NS_PER_MS);
    count(read(fd, record, sizeof record));
    struct pollfd one = {.fd = fd, .events = POLLIN};
    count(poll(&one, 1, 0));
  }
}

static void epolls(void) { fork_each(4, epoll_one); }

/*
 * Adds many streams to hundreds of epoll sets each. The wake-up of one file takes less than a
 * millisecond, and all together take many.
 */
static void epoll_many(long n) {
  static int fds[64];
  char path[PATH_MAX], record[65536];
  const int streams = sizeof fds / sizeof *fds;
  for (int i = 0; i < streams; i++) {
    fds[i] =
        open(format(path, "%s/match/N!=%ld", mount_path, n), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fds[i] < 0) die("%s: %m", path);
  }
  struct epoll_event event = {.events = EPOLLIN | EPOLLET};
  for (int sets = 0; sets < 700; sets++) {
    int set = (int)count(epoll_create1(EPOLL_CLOEXEC));
    for (int i = 0; i < streams; i++) count(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &event));
  }
  begun();
  for (;; sleep_ns(5 * NS_PER_MS)) {
    for (int i = 0; i < streams; i++) {
      count(read(fds[i], record, sizeof record));
      struct pollfd one = {.fd = fds[i], .events = POLLIN};
      count(poll(&one, 1, 0));
    }
  }
}

static void epoll_streams(void) { fork_each(4, epoll_many); }

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

#endif
