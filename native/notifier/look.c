/*
 * Who watches: every inotify descriptor shows its watches in /proc/<pid>/fdinfo/<fd> (proc(5)), a line each:
 *
 *   inotify wd:1 ino:2a sdev:2d mask:100 ...
 */
#include "notifier.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_CHILDREN 64
/* Looking at all processes takes at most one part in so many of a CPU's time. */
#define SCAN_SHARE 20

enum sight {
  GONE,   /* it has ended, or is another process with its number */
  AWAKE,  /* it may still be inside of inotify_add_watch(2), after the question and before the watch */
  ASLEEP, /* it is in some other system call: what it wanted to watch it watches */
};

/* What has been looked at in this batch: a descriptor, or with fd -1 all of a process. */
struct looked {
  int tid;
  int fd;
  bool is_seen;    /* it is inotify's, or the process has descriptors */
  bool is_refused; /* we may not look */
};

static struct looked *looked;
static size_t looked_count;
static uint64_t next_scan_ms;

/* What came of it if it has been looked at already, else a new note of it, with `is_new` set. */
static struct looked *note(int tid, int fd, bool *is_new) {
  *is_new = false;
  for (size_t i = 0; i < looked_count; i++)
    if (looked[i].tid == tid && looked[i].fd == fd) return &looked[i];
  if ((looked_count & (looked_count - 1)) == 0) looked = grow(looked, (looked_count ? looked_count * 2 : 1) * sizeof *looked);
  looked[looked_count] = (struct looked){tid, fd, false, false};
  *is_new = true;
  return &looked[looked_count++];
}

/* A whole file of /proc, ended by a NUL; NULL when it can't be read. The memory is used again. */
static char *read_whole(const char *path) {
  static char *text;
  static size_t room;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  size_t length = 0;
  for (;;) {
    if (length + 1 >= room) text = grow(text, room = room ? room * 2 : 4096);
    ssize_t got = read(fd, text + length, room - length - 1);
    if (got < 0) break;
    length += (size_t)got;
    if (got > 0) continue;
    text[length] = '\0';
    close(fd);
    return text;
  }
  close(fd);
  return NULL;
}

static bool is_inotify(const char *target, ssize_t length) {
  static const char name[] = "anon_inode:inotify";
  return length == sizeof name - 1 && memcmp(target, name, sizeof name - 1) == 0;
}

/* Notes which of the directories that we know the descriptor watches. */
static void read_watches(int tid, int fd) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", tid, fd);
  for (char *line = read_whole(path); line; line = strchr(line, '\n')) {
    unsigned long long ino, sdev;
    if (*line == '\n') line++;
    if (sscanf(line, "inotify wd:%*x ino:%llx sdev:%llx", &ino, &sdev) != 2 || sdev != device) continue;
    struct directory *directory = find_directory(ino);
    if (directory) add_watcher(directory, tid, fd);
  }
}

/* Looks at one descriptor. Whether it is still inotify's: then it shows all that it and its duplicates watch. */
static bool look_at_descriptor(int tid, int fd) {
  char path[64], target[32];
  bool is_new;
  struct looked *found = note(tid, fd, &is_new);
  if (!is_new) return found->is_seen;
  snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
  found->is_seen = is_inotify(target, readlink(path, target, sizeof target));
  if (found->is_seen) read_watches(tid, fd);
  return found->is_seen;
}

/* Looks at all descriptors of a process or thread. What it gives is good until the next look. */
static const struct looked *look_at_process(int tid) {
  char path[64], target[32];
  bool is_new, is_any = false;
  size_t place = (size_t)(note(tid, -1, &is_new) - looked);
  if (!is_new) return &looked[place];
  snprintf(path, sizeof path, "/proc/%d/fd", tid);
  DIR *descriptors = opendir(path);
  looked[place].is_refused = !descriptors && errno == EACCES;
  for (struct dirent *entry; descriptors && (entry = readdir(descriptors)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    is_any = true;
    if (is_inotify(target, readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target))) read_watches(tid, atoi(entry->d_name));
  }
  if (descriptors) closedir(descriptors);
  looked[place].is_seen = is_any;
  return &looked[place];
}

/* proc_pid_stat(5): the state, and when it began. */
static enum sight sight_of(const struct asker *asker) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/stat", asker->tid);
  char *text = read_whole(path);
  char *after = text ? strrchr(text, ')') : NULL;
  char state;
  unsigned long long start_ticks;
  if (!after || sscanf(after, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state, &start_ticks) != 2)
    return GONE;
  uint64_t start_ms = start_ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
  if (state == 'Z' || state == 'X' || start_ms > asker->asked_ms) return GONE;
  /* Once its question is answered, inotify_add_watch(2) runs or waits for memory and locks, in state D. */
  return state == 'R' || state == 'D' ? AWAKE : ASLEEP;
}

/* Those that a process has started since may have inherited its descriptors. */
static void look_at_children(int tid, int *left) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", tid, tid);
  char *text = read_whole(path);
  if (!text || !*text) return;
  int children[MOST_CHILDREN], count = 0;
  for (char *end; count < *left; text = end) {
    long child = strtol(text, &end, 10);
    if (end == text) break;
    children[count++] = (int)child;
  }
  *left -= count;
  for (int i = 0; i < count; i++) {
    look_at_process(children[i]);
    look_at_children(children[i], left);
  }
}

static void look_at_askers(struct directory *directory) {
  for (size_t i = directory->asker_count; i-- > 0;) {
    const struct asker asker = directory->askers[i];
    enum sight sight = sight_of(&asker); /* first: a watch that is there when it sleeps is seen after that */
    if (sight == GONE) directory->is_in_doubt = true;
    else if (look_at_process(asker.tid)->is_refused) directory->is_hidden = true;
    if (sight != GONE && directory->watched_in != batch) {
      int left = MOST_CHILDREN;
      look_at_children(asker.tid, &left);
      if (left == 0) directory->is_in_doubt = true;
    }
    if (sight != AWAKE) remove_asker(directory, i);
  }
}

static void look_at_watchers(struct directory *directory) {
  for (size_t i = 0; i < directory->watcher_count; i++) look_at_descriptor(directory->watchers[i].tid, directory->watchers[i].fd);
}

/* Lets go of those who don't watch any more. One that has closed its descriptor may have handed it on before. */
static void drop_watchers(struct directory *directory) {
  for (size_t i = directory->watcher_count; i-- > 0;) {
    const struct watcher watcher = directory->watchers[i];
    if (watcher.seen_in == batch) continue;
    if (!look_at_descriptor(watcher.tid, watcher.fd)) directory->is_in_doubt = true;
    remove_watcher(directory, i);
  }
}

/* Looks at everybody. */
static void look_at_all(void) {
  DIR *processes = opendir("/proc");
  if (!processes) return;
  for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
    int pid = atoi(entry->d_name);
    if (pid <= 0 || look_at_process(pid)->is_seen) continue;
    /* Its first thread has ended, or it is the kernel's: the others have the descriptors. */
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    for (struct dirent *thread; threads && (thread = readdir(threads)) != NULL;)
      if (atoi(thread->d_name) > 0 && atoi(thread->d_name) != pid && look_at_process(atoi(thread->d_name))->is_seen) break;
    if (threads) closedir(threads);
  }
  closedir(processes);
}

/* How long we have run, in milliseconds: on a busy machine that is less than time goes by. */
static uint64_t cpu_ms(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

void look(struct directory **directories, size_t count) {
  bool is_any_in_doubt = false;
  looked_count = 0;
  for (size_t i = 0; i < count; i++) look_at_watchers(directories[i]);
  for (size_t i = 0; i < count; i++) look_at_askers(directories[i]);
  for (size_t i = 0; i < count; i++) {
    drop_watchers(directories[i]);
    if (directories[i]->watched_in == batch) continue;
    is_any_in_doubt |= directories[i]->is_in_doubt;
  }
  if (!is_any_in_doubt || boot_ms() < next_scan_ms) return;
  looked_count = 0; /* what was looked at may have changed since */
  uint64_t before_ms = cpu_ms();
  look_at_all();
  next_scan_ms = boot_ms() + (cpu_ms() - before_ms + 1) * SCAN_SHARE;
  for (size_t i = 0; i < count; i++) directories[i]->is_in_doubt = false;
}
