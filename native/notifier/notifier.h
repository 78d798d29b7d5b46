/*
 * The helper that makes inotify report what the daemon does by itself. A FUSE daemon cannot raise
 * inotify events, but the kernel raises them for each process that works on the mount. So this
 * process makes each new event's file, and the daemon replies with the event that is there already.
 * It also removes the directories of dead owners, which only this process still finds.
 *
 *   main.c         the daemon's messages, one batch after the other
 *   directories.c  which processes may watch which directory
 *   scan_queue.c   the scanning thread: which scan runs when, and for how long
 *   scan.c         the scans: which processes have a watch
 *   proc.c         /proc/<pid>/fd and /proc/<pid>/fdinfo of one process
 *   raise.c        the system calls on the mount
 *
 * The main thread never reads /proc/<pid>: one user's processes could make that take seconds. It
 * raises the events of each directory that may be watched. It waits a few milliseconds at most for
 * the scanning thread to show that a directory is not watched.
 *
 * All state is in one `struct notifier`. main() owns it, and every function that needs it takes it.
 */
#ifndef NOTIFIER_H
#define NOTIFIER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NAME_BYTES 256
#define MS 1000000ull /* nanoseconds */

/* Memory or a thread is not available now: the daemon starts another helper later. EX_TEMPFAIL. */
#define EXIT_TRY_LATER 75

#define DIRECTORY_BUCKETS 4096
#define WATCHER_BUCKETS 16384
#define SCAN_BUCKETS 1024
/* How many directories are marked as watched under one lock. */
#define MARKED_AT_ONCE 256
/* The most text of /proc/<pid>/fdinfo in memory. */
#define TEXT_BYTES 65536

/*
 * A thread that has asked for a directory's attributes. inotify_add_watch(2) does that before it
 * adds the watch.
 */
struct candidate {
  int tid;
  uint64_t first_asked_ms; /* CLOCK_BOOTTIME; another thread may have had this number then */
  uint64_t asked_ms;
  uint32_t added_in;   /* the batch that has reported it */
  uint32_t scanned_in; /* the last batch after whose arrival a whole scan of it began */
  bool is_waiting;     /* a scan of it is requested and has not begun */
};

/* A descriptor that watches a directory. */
struct watcher {
  int tid;
  int fd;
  uint64_t seen_in; /* the last scan that has seen its watch */
  struct directory *directory;
  struct watcher *next_in_bucket;
  struct watcher *previous; /* of the same directory */
  struct watcher *next;
};

/* A directory that the daemon has asked about, until the answer is that it has no watch. */
struct directory {
  uint64_t ino;
  char name[NAME_BYTES];
  struct candidate *candidates;
  size_t candidate_count;
  struct watcher *first_watcher;
  struct watcher *last_watcher;
  size_t watcher_count;
  bool has_more_watchers; /* than are kept */
  bool is_hidden;         /* a process has asked that we may not inspect: it may always watch */
  bool is_uncertain;      /* an unknown process may have got a watch: a scan of all has to tell */
  uint64_t uncertain_ns;  /* only a scan that begins later ends the uncertainty (CLOCK_MONOTONIC) */
  bool is_checking;       /* a scan of its watchers is requested */
  uint64_t checked_ns;    /* when the last one ended */
  struct directory *next;
};

/* The part of a batch that is about one directory. Names point into the input. */
struct part {
  struct directory *directory;
  size_t first_name;
  size_t name_count;
  bool is_raised;
};

/* The batch of messages that is worked on. */
struct batch {
  uint32_t number;
  struct part *parts;
  size_t part_count;
  const char **names;
  size_t name_count;
  const char **ghosts; /* names of directories of dead owners */
  size_t ghost_count;
  char *answer;
  size_t answer_room;
};

/* Inodes of directories that one descriptor watches, until they are marked as watched. */
struct watched {
  int tid;
  int fd;
  uint64_t inos[MARKED_AT_ONCE];
  size_t count;
};

struct scan;

/* Scans in the order of their turns. Together they get one part in `share` of a CPU's time. */
struct scan_queue {
  struct scan *first;
  struct scan *last;
  uint64_t share;
  uint64_t next_ns; /* when the share allows the next slice */
};

struct scanner {
  /*
   * One lock for directories, candidates, watchers and scans. A thread that holds it makes no
   * system call, except for memory.
   */
  pthread_mutex_t lock;
  pthread_cond_t has_work, has_news;
  clockid_t clock; /* the CPU time of the scanning thread */
  struct scan *buckets[SCAN_BUCKETS];
  struct scan *all; /* the scan of all processes */
  struct scan_queue prompt, later;
  /* Scans in the prompt queue, with the one that is under way. */
  size_t prompt_count;
  /* The share allows no prompt scan now. */
  bool is_prompt_delayed;
  /*
   * The scan of all processes is in the prompt queue, and the last one was short enough to wait
   * for.
   */
  bool is_all_prompt;
  /* How much CPU time the last scan of all processes took. */
  uint64_t all_ns;

  /* Of the scanning thread alone: */
  uint64_t current; /* the number of the scan that is under way */
  uint64_t slice_end_ns;
  struct watched watched;
  char text[TEXT_BYTES];
};

struct mount {
  const char *path;
  int root;     /* -1 while it is not open */
  bool is_gone; /* it is not mounted, or the connection is over */
};

struct notifier {
  uint64_t device; /* the mount's device as fdinfo shows it: the kernel's own dev_t */
  struct mount mount;
  struct batch batch;
  struct directory *directories[DIRECTORY_BUCKETS];
  struct watcher *watchers[WATCHER_BUCKETS];
  struct scanner scanner;
};

/* --- main.c --- */

__attribute__((noreturn, format(printf, 2, 3))) void die(int code, const char *format, ...);
/* realloc(3); ends the process if it fails. */
void *grow(void *memory, size_t bytes);
/*
 * Returns a list of `count` items, moved if need be, with room for one more. Its room doubles each
 * time, so it needs no count of its own.
 */
void *room_for_one(void *list, size_t count, size_t item_bytes);
/* Returns CLOCK_MONOTONIC in nanoseconds. */
uint64_t now_ns(void);

/* --- directories.c: the caller holds the lock --- */

struct directory *find_directory(struct notifier *n, uint64_t ino);
/* Finds a directory, or adds it. */
struct directory *enter_directory(struct notifier *n, uint64_t ino, const char *name);
void forget_directory(struct notifier *n, uint64_t ino);
/* Calls `visit` with each directory. */
void each_directory(struct notifier *n, void (*visit)(struct notifier *, struct directory *));
/*
 * Adds a thread that has asked for a directory. tid 0: a process outside of our PID namespace; -1:
 * one that the daemon has no room for.
 */
void add_candidate(struct notifier *n, struct directory *directory, int tid, uint64_t asked_ms);
/* Returns NULL if the thread is no candidate of the directory. */
struct candidate *find_candidate(struct directory *directory, int tid);
void remove_candidate(struct directory *directory, struct candidate *candidate);
/* Makes a scan of all processes necessary that begins at `from_ns` or later. */
void mark_uncertain(struct directory *directory, uint64_t from_ns);
/* A scan has seen a watch on the directory. */
void add_watcher(struct notifier *n, struct directory *directory, int tid, int fd, uint64_t scan);
struct watcher *find_watcher(struct notifier *n, const struct directory *directory, int tid,
                             int fd);
void remove_watcher(struct notifier *n, struct watcher *watcher);
/* Moves a watcher behind the directory's other watchers. */
void move_last(struct watcher *watcher);

/* --- proc.c: the caller does not hold the lock, except for is_time_up() --- */

enum found {
  NONE,     /* the process has no descriptors, or is gone */
  SOME,     /* all its descriptors are read */
  DEFERRED, /* the slice ended before all were read */
  DENIED,   /* we may not inspect the process */
  FAILED,   /* the kernel lacks memory or descriptors */
};

/* Returns whether the slice is over. */
bool is_time_up(const struct notifier *n);
/* Reads the descriptors of a process or thread, from `*place` on, 0 at first. */
enum found read_descriptors(struct notifier *n, int tid, long *place);
/* Reads one descriptor. Returns NONE if it has no watches, or is gone. */
enum found read_descriptor(struct notifier *n, int tid, int fd);
/* Reads a thread's state and start (proc_pid_stat(5)). Returns false if it has ended. */
bool read_state(int tid, char *state, uint64_t *start_ms);
/* Reads at most `max` children of a process. Returns how many. */
int read_children(int tid, int *children, int max);
/*
 * Reads the next names in a directory of /proc that are numbers, from `*place` on, 0 at first.
 * Returns how many; 0 at the end; -1 with errno.
 */
int read_numbers(const char *path, long *place, int *numbers, int max);

/* --- scan_queue.c --- */

/* Starts the scanning thread. */
void start_scanning(struct notifier *n);
void lock(struct notifier *n);
void unlock(struct notifier *n);
/* Requests all scans that can show whether a directory of this batch is watched. With the lock. */
void request_scans(struct notifier *n, struct directory *directory);
/* Returns whether a directory counts as watched without another scan. With the lock. */
bool is_known_watched(const struct directory *directory);
/* Returns whether the scans have not shown yet that there is no watch. With the lock. */
bool may_be_watched(const struct notifier *n, const struct directory *directory);
/* Waits until the scans of this batch are done or deferred, some milliseconds. With the lock. */
void wait_for_scans(struct notifier *n);

/* --- raise.c --- */

/* Begins a batch's work on the mount. Nothing but our own mount is touched at that path. */
void open_mount(struct notifier *n);
/* Raises IN_CREATE for each of `names`. */
void raise_created(struct notifier *n, const struct directory *directory, const char **names,
                   size_t count);
/* Raises IN_DELETE and IN_DELETE_SELF for a directory whose owner is dead. */
void raise_deleted(struct notifier *n, const char *name);
/* Makes requests without an effect on that CPU. */
void make_requests_on(struct notifier *n, int cpu);
/* Closes the mount: an open descriptor would keep umount(8) from ending the connection. */
void close_mount(struct notifier *n);

#endif
