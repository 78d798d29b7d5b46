/* Who may watch which directory: what the daemon has said, and what looking has shown. */
#include "notifier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096

static struct directory *buckets[BUCKETS];

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
  free(directory->askers);
  free(directory->watchers);
  free(directory);
}

void add_asker(struct directory *directory, int tid, uint64_t asked_ms) {
  if (tid < 0) directory->is_in_doubt = true;
  else if (tid == 0) directory->is_hidden = true;
  else {
    directory->askers = grow(directory->askers, (directory->asker_count + 1) * sizeof *directory->askers);
    directory->askers[directory->asker_count++] = (struct asker){tid, asked_ms};
  }
}

void add_watcher(struct directory *directory, int tid, int fd) {
  directory->watched_in = batch;
  for (size_t i = 0; i < directory->watcher_count; i++) {
    struct watcher *known = &directory->watchers[i];
    if (known->tid != tid || known->fd != fd) continue;
    known->seen_in = batch;
    return;
  }
  directory->watchers = grow(directory->watchers, (directory->watcher_count + 1) * sizeof *directory->watchers);
  directory->watchers[directory->watcher_count++] = (struct watcher){tid, fd, batch};
}

void remove_asker(struct directory *directory, size_t index) {
  directory->askers[index] = directory->askers[--directory->asker_count];
}

void remove_watcher(struct directory *directory, size_t index) {
  directory->watchers[index] = directory->watchers[--directory->watcher_count];
}
