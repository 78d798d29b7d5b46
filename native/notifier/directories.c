/* Who may watch which directory: what the daemon has said, and what looking has shown. */
#include "notifier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096
#define WATCHER_BUCKETS 16384
/* The most askers of one directory; when there are more, all processes are looked at instead. */
#define MOST_ASKERS 256
/*
 * The most watchers of one directory that are kept, because a descriptor may be duplicated any number of times. Once all of
 * them are gone, all processes are looked at for more.
 */
#define MOST_WATCHERS 64
/*
 * A thread that is none of the askers may be inside of inotify_add_watch(2) still: it gets that long from its question to
 * its watch before the look begins that must find it.
 */
#define UNSEEN_ASKER_NS (200 * MS)

static struct directory *buckets[BUCKETS];
static struct watcher *watcher_buckets[WATCHER_BUCKETS];

static struct directory **place_of(uint64_t ino) {
  struct directory **place = &buckets[ino % BUCKETS];
  while (*place && (*place)->ino != ino) place = &(*place)->next;
  return place;
}

struct directory *find_directory(uint64_t ino) { return *place_of(ino); }

struct directory *enter_directory(uint64_t ino, const char *name) {
  struct directory **place = place_of(ino);
  if (*place) return *place;
  struct directory *directory = grow(NULL, sizeof *directory);
  memset(directory, 0, sizeof *directory);
  directory->ino = ino;
  snprintf(directory->name, sizeof directory->name, "%s", name);
  *place = directory;
  return directory;
}

void forget_directory(uint64_t ino) {
  struct directory **place = place_of(ino);
  struct directory *directory = *place;
  if (!directory) return;
  *place = directory->next;
  while (directory->first_watcher) remove_watcher(directory->first_watcher);
  free(directory->askers);
  free(directory);
}

void each_directory(void (*visit)(struct directory *)) {
  for (size_t i = 0; i < BUCKETS; i++)
    for (struct directory *directory = buckets[i]; directory; directory = directory->next) visit(directory);
}

void doubt(struct directory *directory, uint64_t from_ns) {
  directory->is_in_doubt = true;
  if (from_ns > directory->doubted_ns) directory->doubted_ns = from_ns;
}

struct asker *find_asker(struct directory *directory, int tid) {
  for (size_t i = 0; i < directory->asker_count; i++)
    if (directory->askers[i].tid == tid) return &directory->askers[i];
  return NULL;
}

void add_asker(struct directory *directory, int tid, uint64_t asked_ms) {
  if (tid == 0) {
    directory->is_hidden = true;
    return;
  }
  struct asker *known = tid > 0 ? find_asker(directory, tid) : NULL;
  if (known) {
    known->asked_ms = asked_ms;
    known->added_in = batch;
  } else if (tid < 0 || directory->asker_count == MOST_ASKERS) {
    doubt(directory, now_ns() + UNSEEN_ASKER_NS);
  } else {
    size_t count = directory->asker_count++;
    size_t room = count ? count * 2 : 1;
    if ((count & (count - 1)) == 0) directory->askers = grow(directory->askers, room * sizeof *directory->askers);
    directory->askers[count] = (struct asker){tid, asked_ms, asked_ms, batch, 0, false};
  }
}

void remove_asker(struct directory *directory, struct asker *asker) {
  *asker = directory->askers[--directory->asker_count];
}

static struct watcher **watcher_place(const struct directory *directory, int tid, int fd) {
  uint64_t hash = (directory->ino * 31 + (uint64_t)tid) * 0x9e3779b97f4a7c15ull + (uint64_t)fd * 0xff51afd7ed558ccdull;
  struct watcher **place = &watcher_buckets[(hash >> 32) % WATCHER_BUCKETS];
  for (; *place; place = &(*place)->next_in_bucket)
    if ((*place)->directory == directory && (*place)->tid == tid && (*place)->fd == fd) break;
  return place;
}

struct watcher *find_watcher(const struct directory *directory, int tid, int fd) {
  return *watcher_place(directory, tid, fd);
}

static void put_last(struct watcher *watcher) {
  struct directory *directory = watcher->directory;
  watcher->next = NULL;
  watcher->previous = directory->last_watcher;
  if (watcher->previous) watcher->previous->next = watcher;
  else directory->first_watcher = watcher;
  directory->last_watcher = watcher;
}

static void take_out(struct watcher *watcher) {
  struct directory *directory = watcher->directory;
  if (watcher->previous) watcher->previous->next = watcher->next;
  else directory->first_watcher = watcher->next;
  if (watcher->next) watcher->next->previous = watcher->previous;
  else directory->last_watcher = watcher->previous;
}

void move_last(struct watcher *watcher) {
  take_out(watcher);
  put_last(watcher);
}

void add_watcher(struct directory *directory, int tid, int fd, uint64_t look) {
  struct watcher **place = watcher_place(directory, tid, fd);
  if (!*place) {
    if (directory->watcher_count == MOST_WATCHERS) {
      directory->has_more = true;
      return;
    }
    directory->watcher_count++;
    *place = grow(NULL, sizeof **place);
    **place = (struct watcher){tid, fd, look, directory, NULL, NULL, NULL};
    put_last(*place);
  }
  (*place)->seen_in = look;
}

void remove_watcher(struct watcher *watcher) {
  struct watcher **place = watcher_place(watcher->directory, watcher->tid, watcher->fd);
  struct directory *directory = watcher->directory;
  *place = watcher->next_in_bucket;
  take_out(watcher);
  free(watcher);
  if (--directory->watcher_count > 0 || !directory->has_more) return;
  directory->has_more = false;
  doubt(directory, now_ns());
}
