/* Attacks by names of later events, by directories, and by deaths of owners. */
#ifndef PROGRAMS_HOSTILE_PROCESSES_H
#define PROGRAMS_HOSTILE_PROCESSES_H

#include "helpers.h"
#include <grp.h>

#define MOST_GROUPS 65536 /* NGROUPS_MAX of linux/limits.h */
#define NOBODY 65534

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
      if (sscanf(entries + at + 19, "%lld.%ld", &whole, &part) == 2 && whole == seqnum &&
          part > newest)
        newest = part;
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
        count(mknod(format(path, "%s/%lld.%ld.%ld", directory, seqnum, wanted, i), S_IFREG | 0600,
                    0));
    }
    if (newest_event(seqnum) < wanted) begun();
    else lead = lead > 2400 ? 600 : lead;
    while (newest_event(seqnum) <= wanted) sleep_ns(PAUSE_NS);
    for (long n = 0; n < FULL_DIRECTORIES / 2; n++) remove_own(own_path(directory, n));
  }
}

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

/* Becomes an unprivileged user with as many groups as a process can have. Root starts it. */
static void groups(void) {
  static gid_t list[MOST_GROUPS];
  for (gid_t n = 0; n < MOST_GROUPS; n++) list[n] = 100000 + n;
  if (setgroups(MOST_GROUPS, list) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
      setresuid(NOBODY, NOBODY, NOBODY) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    die("the groups: %m");
  mkdirs();
}

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

#endif
