/* Attacks by system calls that reach a file in unusual ways: mappings, locks, sockets, symlinks. */
#ifndef PROGRAMS_HOSTILE_CALLS_H
#define PROGRAMS_HOSTILE_CALLS_H

#include "helpers.h"
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#define PAGE_BYTES 4096
#define LINKS_OF_A_WALK 38 /* the kernel follows 40 */

static void fill_file(const char *path, long bytes) {
  static const char text[EVENT_BYTES];
  int fd = (int)count(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  count(write(fd, text, (size_t)bytes));
  close(fd);
}

/*
 * Maps an event with all its pages. A page is refused, and the kernel tries it again until the
 * process is killed (mm/gup.c, __mm_populate()).
 */
static void populate(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  fill_file(short_name(path, directory, 0), PAGE_BYTES);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  begun();
  for (;;) {
    void *page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    count(page == MAP_FAILED ? -1 : munmap(page, PAGE_BYTES));
  }
}

static void populates(void) { fork_each(16, populate); }

/* Reads events of the log through the page cache, and has the kernel drop the pages again. */
static void read_pages(long n) {
  char path[PATH_MAX], byte;
  int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
  begun();
  for (;;) {
    int fd = (int)count(
        open(format(path, "%s/log/%s", mount_path, n % 2 ? "head" : "tail"), O_RDONLY | O_CLOEXEC));
    for (int i = 0; fd >= 0 && i < 100; i++) {
      int error = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      count(error == 0 ? readahead(fd, 0, EVENT_BYTES) : -1);
      void *page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
      struct iovec own = {&byte, 1}, mapped = {page, 1};
      if (page != MAP_FAILED) count(writev(sink, i % 2 ? &own : &mapped, 1));
      if (page != MAP_FAILED) munmap(page, PAGE_BYTES);
    }
    close(fd);
  }
}

static void pages(void) { fork_each(8, read_pages); }

/* Makes owners that end at once. */
static void bear_and_end(long n) {
  char path[PATH_MAX];
  (void)n;
  begun();
  for (;;) {
    pid_t child = fork();
    if (child == 0) count(mkdir(own_path(path, 0), 0700)), _exit(0);
    if (child > 0) waitpid(child, NULL, 0);
  }
}

static void births(void) { fork_each(8, bear_and_end); }

/* Opens full files, and a filter, with O_TRUNC. */
static void open_truncated(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  begun();
  for (long i = 0;; i = (i + 1) % 100) {
    fill_file(short_name(path, directory, i), EVENT_BYTES);
    close((int)count(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)));
    close(open_own(directory, ".filter", O_WRONLY | O_TRUNC));
    close(open_own(directory, ".since", O_WRONLY | O_TRUNC));
  }
}

static void truncating_opens(void) { fork_each(4, open_truncated); }

/* Calls for which a filesystem needs no handler, and those that each ask the daemon. */
static void control(long n) {
  static char argument[16384];
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  fill_file(short_name(path, directory, 0), PAGE_BYTES);
  int fd = open(path, O_RDWR | O_CLOEXEC), own = open(directory, O_RDONLY | O_CLOEXEC);
  begun();
  for (unsigned i = 0;; i++) {
    count(ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 'f', i & 255, sizeof argument - 1), argument));
    count(ioctl(own, _IOC(_IOC_READ, 'f', i & 255, 8), argument));
    count(fallocate(fd, (int)(i % 2) * 3, 0, PAGE_BYTES)); /* 3: punch a hole */
    count(lseek(fd, 0, i % 2 ? SEEK_DATA : SEEK_HOLE));
    count(fsync(i % 2 ? fd : own));
    count(fdatasync(fd));
    count(openat(own, ".", O_TMPFILE | O_RDWR, 0600));
    count(syncfs(own));
  }
}

static void controls(void) { fork_each(8, control); }

/* Takes and drops thousands of locks, with processes that wait for them and are killed. */
static void lock_files(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  fill_file(short_name(path, directory, 0), PAGE_BYTES);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  begun();
  for (;;) {
    for (long i = 0; i < 2000; i++)
      count(fcntl(fd, F_SETLK, &(struct flock){.l_type = F_WRLCK, .l_start = 2 * i, .l_len = 1}));
    pid_t child = fork_child();
    if (child == 0) {
      int again = open(path, O_RDWR | O_CLOEXEC);
      count(flock(again, LOCK_EX));
      count(fcntl(again, F_SETLKW, &(struct flock){.l_type = F_WRLCK}));
      wait_for_ever();
    }
    sleep_ns(NS_PER_MS);
    end_child(child);
    count(fcntl(fd, F_SETLK, &(struct flock){.l_type = F_UNLCK}));
  }
}

static void locks(void) { fork_each(4, lock_files); }

/* Binds sockets to names, connects to them, and has threads wait for the other end of FIFOs. */
static void connect_sockets(long n) {
  char directory[PATH_MAX], path[PATH_MAX];
  make_own(directory, n);
  begun();
  for (long i = 0;; i = (i + 1) % 1000) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", short_name(path, directory, i));
    count(bind(server, (struct sockaddr *)&address, sizeof address));
    count(listen(server, 1000));
    count(connect(client, (struct sockaddr *)&address, sizeof address));
    count(unlink(path));
    count(mkfifo(path, 0600));
    int reader = (int)count(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    close((int)count(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)));
    if (i % 2) count(unlink(path)), close(reader), close(client), close(server);
  }
}

static void sockets(void) { fork_each(4, connect_sockets); }

/* Makes each path walk follow many symlinks, each of which leads through a thousand names. */
static void walk_symlinks(long n) {
  static char target[PATH_MAX];
  char directory[PATH_MAX], path[PATH_MAX], step[64];
  struct stat attributes;
  make_own(directory, n);
  size_t length = (size_t)snprintf(step, sizeof step, "../%d.%ld/", (int)getpid(), n);
  for (long i = 0; i < LINKS_OF_A_WALK; i++) {
    size_t at = 0;
    for (; at + length + 20 < sizeof target; at += length) memcpy(target + at, step, length);
    snprintf(target + at, sizeof target - at, "f%ld", i + 1);
    count(symlink(target, short_name(path, directory, i)));
  }
  begun();
  for (;;) count(stat(short_name(path, directory, 0), &attributes));
}

static void walks(void) { fork_each(16, walk_symlinks); }

#endif
