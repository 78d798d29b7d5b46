/*
 * The helper that makes inotify speak of what the daemon does by itself: a FUSE daemon cannot raise inotify events, but
 * the kernel raises them for whoever works on the mount. So this process makes each new event's file, which the daemon
 * answers with the event that is there already, and removes the directories of dead owners, which only it still finds.
 *
 *   main.c         the daemon's messages, one batch after the other
 *   directories.c  who may watch which directory
 *   look.c         who does: /proc/<pid>/fdinfo
 *   raise.c        the calls on the mount
 */
#ifndef NOTIFIER_H
#define NOTIFIER_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_BYTES 256

/* A thread that has asked for a directory's attributes, as inotify_add_watch(2) does before there is a watch. */
struct asker {
  int tid;
  uint64_t asked_ms; /* CLOCK_BOOTTIME */
};

/* A descriptor that watches a directory. */
struct watcher {
  int tid;
  int fd;
  uint32_t seen_in; /* the last batch in which its watch was seen */
};

/* A directory that the daemon has asked about and has not been told to be quiet of. */
struct directory {
  uint64_t ino;
  char name[NAME_BYTES];
  struct asker *askers;
  size_t asker_count;
  struct watcher *watchers;
  size_t watcher_count;
  bool is_in_doubt;    /* somebody whom we don't know may have inherited a watch: all processes must be looked at */
  bool is_hidden;      /* asked for by a process that we can't look at: there may always be a watch */
  uint32_t watched_in; /* the last batch in which a watch was seen */
  struct directory *next;
};

/* --- main.c --- */

/* The number of the batch that is being worked on. */
extern uint32_t batch;
/* The mount's device, as fdinfo shows it: the kernel's own dev_t. */
extern uint64_t device;

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
/* realloc(3) that does not fail. */
void *grow(void *memory, size_t bytes);
/* Milliseconds since the machine's start (CLOCK_BOOTTIME). */
uint64_t boot_ms(void);

/* --- directories.c --- */

struct directory *find_directory(uint64_t ino);
/* The directory, made if it is not known yet. */
struct directory *enter_directory(uint64_t ino, const char *name);
void forget_directory(uint64_t ino);
/* tid 0: a process that we can't see; -1: more of them than the daemon has kept. */
void add_asker(struct directory *directory, int tid, uint64_t asked_ms);
/* A watch on the directory has been seen in this batch. */
void add_watcher(struct directory *directory, int tid, int fd);
void remove_asker(struct directory *directory, size_t index);
void remove_watcher(struct directory *directory, size_t index);

/* --- look.c --- */

/* Looks at everybody who may watch one of the directories; what is seen stands in them. */
void look(struct directory **directories, size_t count);

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
