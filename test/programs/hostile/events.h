/* Attacks by events: links, growth, renames, and a head that is still open for writing. */
#ifndef PROGRAMS_HOSTILE_EVENTS_H
#define PROGRAMS_HOSTILE_EVENTS_H

#include "helpers.h"
#include "readers.h"

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
      int fd = (int)count(
          open(format(path, "%s/large%ld", directory, i), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
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
    int fd = (int)count(
        open(long_name(path, directory, i % 2000), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
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
  for (long i = 0; i < 3900; i++)
    count(open(short_name(path, directory, i), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
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
  for (long i = 0; i < 2000; i++)
    count(open(short_name(path, directory, i), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  int fd = open_own(directory, ".stream", O_RDONLY | O_NONBLOCK);
  begun();
  for (;;) {
    for (long i = 2000; i < 4000; i++)
      count(mknod(short_name(path, directory, i), S_IFREG | 0600, 0));
    while (count(read(fd, records, sizeof records)) > 0) continue;
  }
}

static void reads_behind(void) { fork_each(4, read_behind); }

#endif
