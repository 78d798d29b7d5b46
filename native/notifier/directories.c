/* Which processes may watch which directory, from the daemon's messages and from scans. */
#include "notifier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The most candidates of one directory. If there are more, all processes are scanned instead. */
#define MAX_CANDIDATES 256
/*
 * The most watchers of one directory that are kept, because a descriptor may be duplicated any
 * number of times. Once all of them are gone, a scan of all processes looks for more.
 */
#define MAX_WATCHERS 64
/*
 * The time that inotify_add_watch(2) may take from its request to its watch, for a thread that is
 * no candidate. The scan that must find the watch begins after that time.
 */
#define UNKNOWN_CANDIDATE_NS (200 * MS)

static struct directory **place_of(struct notifier *n, uint64_t ino) {
  struct directory **place = &n->directories[ino % DIRECTORY_BUCKETS];
  while (*place && (*place)->ino != ino) place = &(*place)->next;
  return place;
}

struct directory *find_directory(struct notifier *n, uint64_t ino) {
  return *place_of(n, ino);
}

struct directory *enter_directory(struct notifier *n, uint64_t ino, const char *name) {
  struct directory **place = place_of(n, ino);
  if (*place) return *place;
  struct directory *directory = grow(NULL, sizeof *directory);
  memset(directory, 0, sizeof *directory);
  directory->ino = ino;
  snprintf(directory->name, sizeof directory->name, "%s", name);
  *place = directory;
  return directory;
}

void forget_directory(struct notifier *n, uint64_t ino) {
  struct directory **place = place_of(n, ino);
  struct directory *directory = *place;
  if (!directory) return;
  *place = directory->next;
  while (directory->first_watcher) remove_watcher(n, directory->first_watcher);
  free(directory->candidates);
  free(directory);
}

void each_directory(struct notifier *n, void (*visit)(struct notifier *, struct directory *)) {
  for (size_t i = 0; i < DIRECTORY_BUCKETS; i++) {
    struct directory *directory = n->directories[i];
    for (; directory; directory = directory->next) visit(n, directory);
  }
}

void mark_uncertain(struct directory *directory, uint64_t from_ns) {
  directory->is_uncertain = true;
  if (from_ns > directory->uncertain_ns) directory->uncertain_ns = from_ns;
}

/* ---- candidates */

struct candidate *find_candidate(struct directory *directory, int tid) {
  for (size_t i = 0; i < directory->candidate_count; i++) {
    if (directory->candidates[i].tid == tid) return &directory->candidates[i];
  }
  return NULL;
}

void add_candidate(struct notifier *n, struct directory *directory, int tid, uint64_t asked_ms) {
  if (tid == 0) {
    directory->is_hidden = true;
    return;
  }
  struct candidate *known = tid > 0 ? find_candidate(directory, tid) : NULL;
  if (known) {
    known->asked_ms = asked_ms;
    known->added_in = n->batch.number;
  } else if (tid < 0 || directory->candidate_count == MAX_CANDIDATES) {
    mark_uncertain(directory, now_ns() + UNKNOWN_CANDIDATE_NS);
  } else {
    size_t count = directory->candidate_count++;
    directory->candidates =
        room_for_one(directory->candidates, count, sizeof *directory->candidates);
    directory->candidates[count] = (struct candidate){
        .tid = tid,
        .first_asked_ms = asked_ms,
        .asked_ms = asked_ms,
        .added_in = n->batch.number,
    };
  }
}

void remove_candidate(struct directory *directory, struct candidate *candidate) {
  *candidate = directory->candidates[--directory->candidate_count];
}

/* ---- watchers */

static struct watcher **watcher_place(struct notifier *n, const struct directory *directory,
                                      int tid, int fd) {
  uint64_t hash = (directory->ino * 31 + (uint64_t)tid) * 0x9e3779b97f4a7c15ull;
  hash += (uint64_t)fd * 0xff51afd7ed558ccdull;
  struct watcher **place = &n->watchers[(hash >> 32) % WATCHER_BUCKETS];
  for (; *place; place = &(*place)->next_in_bucket) {
    if ((*place)->directory == directory && (*place)->tid == tid && (*place)->fd == fd) break;
  }
  return place;
}

struct watcher *find_watcher(struct notifier *n, const struct directory *directory, int tid,
                             int fd) {
  return *watcher_place(n, directory, tid, fd);
}

static void append(struct watcher *watcher) {
  struct directory *directory = watcher->directory;
  watcher->next = NULL;
  watcher->previous = directory->last_watcher;
  if (watcher->previous) watcher->previous->next = watcher;
  else directory->first_watcher = watcher;
  directory->last_watcher = watcher;
}

static void unlink_watcher(struct watcher *watcher) {
  struct directory *directory = watcher->directory;
  if (watcher->previous) watcher->previous->next = watcher->next;
  else directory->first_watcher = watcher->next;
  if (watcher->next) watcher->next->previous = watcher->previous;
  else directory->last_watcher = watcher->previous;
}

void move_last(struct watcher *watcher) {
  unlink_watcher(watcher);
  append(watcher);
}

void add_watcher(struct notifier *n, struct directory *directory, int tid, int fd, uint64_t scan) {
  struct watcher **place = watcher_place(n, directory, tid, fd);
  if (!*place) {
    if (directory->watcher_count == MAX_WATCHERS) {
      directory->has_more_watchers = true;
      return;
    }
    directory->watcher_count++;
    *place = grow(NULL, sizeof **place);
    **place = (struct watcher){.tid = tid, .fd = fd, .directory = directory};
    append(*place);
  }
  (*place)->seen_in = scan;
}

void remove_watcher(struct notifier *n, struct watcher *watcher) {
  struct directory *directory = watcher->directory;
  struct watcher **place = watcher_place(n, directory, watcher->tid, watcher->fd);
  *place = watcher->next_in_bucket;
  unlink_watcher(watcher);
  free(watcher);
  if (--directory->watcher_count > 0 || !directory->has_more_watchers) return;
  directory->has_more_watchers = false;
  mark_uncertain(directory, now_ns());
}
