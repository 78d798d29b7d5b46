/*
 * The helper that makes inotify speak of what the daemon does by itself: a FUSE daemon cannot raise inotify events, but
 * the kernel raises them for whoever works on the mount. So this process makes each new event's file, which the daemon
 * answers with the event that is there already, and removes the directories of dead owners, which only it still finds.
 *
 *   main.c         the daemon's messages, one batch after the other
 *   directories.c  who may watch which directory
 *   look.c         the thread that looks for watchers, and the order in which it looks
 *   proc.c         one look: /proc/<pid>/fd and /proc/<pid>/fdinfo
 *   raise.c        the calls on the mount
 *
 * The main thread never reads /proc/<pid>: one user's processes could make that take seconds. It raises the notices of
 * each directory that may be watched, and waits a few milliseconds at most for the other thread to show that one is not.
 */
#ifndef NOTIFIER_H
#define NOTIFIER_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_BYTES 256
#define MS 1000000ull /* nanoseconds */

/* The helper lacks memory or a thread for now: the daemon starts another one later. EX_TEMPFAIL of sysexits.h. */
#define EXIT_TRY_LATER 75

/* A thread that has asked for a directory's attributes, as inotify_add_watch(2) does before there is a watch. */
struct asker {
  int tid;
  uint64_t first_asked_ms; /* CLOCK_BOOTTIME; the thread's number may have been another thread's then */
  uint64_t asked_ms;
  uint32_t added_in;  /* the batch that has told of it */
  uint32_t looked_in; /* the last batch since whose arrival it has been looked at in full */
  bool is_waiting;    /* a look at it has been asked for and has not begun */
};

/* A descriptor that watches a directory. */
struct watcher {
  int tid;
  int fd;
  uint64_t seen_in; /* the last look that has seen its watch */
  struct directory *directory;
  struct watcher *next_in_bucket;
  struct watcher *previous; /* of the same directory */
  struct watcher *next;
};

/* A directory that the daemon has asked about and has not been told to be quiet of. */
struct directory {
  uint64_t ino;
  char name[NAME_BYTES];
  struct asker *askers;
  size_t asker_count;
  struct watcher *first_watcher;
  struct watcher *last_watcher;
  size_t watcher_count;
  bool has_more;       /* more descriptors watch it than are kept */
  bool is_hidden;      /* asked for by a process that we can't look at: there may always be a watch */
  bool is_in_doubt;    /* a process that we don't know may have got a watch: all processes must be looked at */
  uint64_t doubted_ns; /* only a look that begins after that ends the doubt (CLOCK_MONOTONIC) */
  bool is_checking;    /* its watchers are about to be looked at again */
  uint64_t checked_ns; /* when they were */
  struct directory *next;
};

/* --- main.c --- */

/* The number of the batch that is being worked on. */
extern uint32_t batch;
/* The mount's device, as fdinfo shows it: the kernel's own dev_t. */
extern uint64_t device;

__attribute__((noreturn, format(printf, 2, 3))) void die(int code, const char *format, ...);
/* realloc(3) that does not fail. */
void *grow(void *memory, size_t bytes);
/* Milliseconds since the machine's start (CLOCK_BOOTTIME). */
uint64_t boot_ms(void);
/* CLOCK_MONOTONIC, in nanoseconds. */
uint64_t now_ns(void);

/* --- directories.c: the caller holds the lock (look.c) --- */

struct directory *find_directory(uint64_t ino);
/* The directory, made if it is not known yet. */
struct directory *enter_directory(uint64_t ino, const char *name);
void forget_directory(uint64_t ino);
/* Calls `visit` with each directory. */
void each_directory(void (*visit)(struct directory *));
/* tid 0: a process that we can't see; -1: more of them than the daemon has kept. */
void add_asker(struct directory *directory, int tid, uint64_t asked_ms);
/* NULL when the thread is none of the directory's askers. */
struct asker *find_asker(struct directory *directory, int tid);
void remove_asker(struct directory *directory, struct asker *asker);
/* All processes must be looked at, in a look that begins at `from_ns` or later. */
void doubt(struct directory *directory, uint64_t from_ns);
/* A look has seen a watch on the directory. */
void add_watcher(struct directory *directory, int tid, int fd, uint64_t look);
struct watcher *find_watcher(const struct directory *directory, int tid, int fd);
void remove_watcher(struct watcher *watcher);
/* Puts it behind the directory's other watchers. */
void move_last(struct watcher *watcher);

/* --- proc.c: the caller does not hold the lock, but for time_is_up() --- */

enum found {
  NONE,     /* it has no descriptors, or is gone */
  SOME,     /* all its descriptors have been looked at */
  PUT_OFF,  /* the time is up before all have been looked at */
  REFUSED,  /* we may not look */
  UNKNOWN,  /* the kernel lacks memory or descriptors */
};

/* The number of the look that is under way: counts up. */
extern uint64_t current_look;
/* Until when a look may take (CLOCK_MONOTONIC). */
extern uint64_t slice_end_ns;
bool time_is_up(void);

/* Looks at the descriptors of a process or thread, from `*place` on, 0 at first. */
enum found read_descriptors(int tid, long *place);
/* Looks at one descriptor: NONE when it is not inotify's (any more). */
enum found read_descriptor(int tid, int fd);
/* proc_pid_stat(5): the state, and when the thread began. False when it is gone. */
bool read_state(int tid, char *state, uint64_t *start_ms);
/* At most `most` children of a process. */
int read_children(int tid, int *children, int most);
/* The next names in a directory of /proc that are numbers, from `*place` on, 0 at first. 0 at the end; -1: see errno. */
int read_numbers(const char *path, long *place, int *numbers, int most);

/* --- look.c --- */

/* Starts the thread that looks. */
void start_looking(void);
/* One lock for directories, askers, watchers and looks. No system call but those on memory is made while it is held. */
void lock_all(void);
void unlock_all(void);
/* Asks for all looks that show whether a directory of this batch is watched. With the lock. */
void ask_for_looks(struct directory *directory);
/* Whether a directory counts as watched without another look. With the lock. */
bool is_known_watched(const struct directory *directory);
/* Whether the looks have not shown (yet) that there is no watch. With the lock. */
bool may_be_watched(const struct directory *directory);
/* Waits until the looks of this batch are done or put off, a few milliseconds at most. With the lock. */
void wait_for_looks(void);

/* --- raise.c --- */

/* Opens the mount at `path` for one batch; whatever is mounted there now, nothing but our own mount is touched. */
void open_mount(const char *path);
/* IN_CREATE for each of `names`. */
void raise_created(const struct directory *directory, const char **names, size_t count);
/* IN_DELETE and IN_DELETE_SELF for a directory whose owner is dead. */
void raise_deleted(const char *name);
/* Asks the daemon something that has no effect, from that CPU. */
void ask_on(int cpu);
/* Lets go of the mount: a descriptor that stays open would keep umount(8) from ending the connection. */
void close_mount(void);

#endif
