/*
 * The scans for watchers.
 *
 * A scan is no snapshot. It misses a process that moves an inotify descriptor meanwhile, to a
 * number or a process that was scanned before, unless that process asks for the directory again.
 */
#include "scan.h"

#include <stdio.h>
#include <stdlib.h>

/* How long one slice takes. */
#define SLICE_NS (1 * MS)

/* ---- begin; with the lock */

/* Turns the waiting directories into the current ones. */
static void begin_candidate(struct notifier *n, struct scan *scan) {
  struct candidate_scan *own = &scan->candidate;
  size_t count = own->waiting_count;
  free(own->current);
  own->current = own->waiting;
  own->waiting = NULL;
  own->waiting_count = own->current_count = 0;
  for (size_t i = 0; i < count; i++) {
    struct directory *directory = find_directory(n, own->current[i]);
    struct candidate *candidate = directory ? find_candidate(directory, (int)scan->id) : NULL;
    if (!candidate) continue;
    candidate->is_waiting = false;
    own->current[own->current_count++] = directory->ino;
  }
  own->is_gone = own->is_denied = false;
  own->state = '\0';
  own->processes[0] = (int)scan->id;
  own->process_count = 1;
  own->process_index = 0;
}

bool begin_scan(struct notifier *n, struct scan *scan) {
  scan->has_begun = true;
  scan->is_incomplete = false;
  scan->began_in = n->batch.number;
  scan->began_ns = now_ns();
  scan->used_ns = 0;
  scan->tid = 0;
  scan->place = 0;
  switch (scan->kind) {
    case WATCHERS: return find_directory(n, scan->id) != NULL;
    case CANDIDATE: begin_candidate(n, scan); return scan->candidate.current_count > 0;
    default:
      scan->processes.count = scan->processes.index = 0;
      scan->processes.place = 0;
      scan->threads.count = scan->threads.index = 0;
      return true;
  }
}

/* ---- finish; with the lock */

/* Applies the scan of a candidate to a directory. */
static void apply(struct notifier *n, const struct scan *scan, struct directory *directory) {
  const struct candidate_scan *own = &scan->candidate;
  struct candidate *candidate = find_candidate(directory, (int)scan->id);
  if (!candidate || candidate->added_in > scan->began_in) return;
  /* The thread with this number was another one, or the process has ended: it may have passed its
   * descriptor on */
  bool was_another = own->start_ms > candidate->first_asked_ms;
  if (own->is_gone || was_another || scan->is_incomplete) mark_uncertain(directory, now_ns());
  candidate->first_asked_ms = candidate->asked_ms;
  if (own->is_denied) directory->is_hidden = true;
  bool is_ended = own->is_gone || own->start_ms > candidate->asked_ms;
  /*
   * After the reply to its request, inotify_add_watch(2) runs, or waits for memory and locks in D
   */
  if (!is_ended && (own->state == 'R' || own->state == 'D')) candidate->scanned_in = scan->began_in;
  else remove_candidate(directory, candidate);
  request_all(n, directory);
}

static void end_uncertainty(struct notifier *n, struct directory *directory) {
  if (directory->uncertain_ns <= n->scanner.all->began_ns) directory->is_uncertain = false;
}

static void finish_candidate(struct notifier *n, struct scan *scan) {
  struct candidate_scan *own = &scan->candidate;
  for (size_t i = 0; i < own->current_count; i++) {
    struct directory *directory = find_directory(n, own->current[i]);
    if (directory) apply(n, scan, directory);
  }
  own->current_count = 0;
  if (own->waiting_count > 0) queue_later(n, scan);
  else forget_scan(n, scan);
}

static void finish_watchers(struct notifier *n, struct scan *scan) {
  struct directory *directory = find_directory(n, scan->id);
  if (directory) {
    directory->is_checking = false;
    directory->checked_ns = now_ns();
    request_all(n, directory);
  }
  forget_scan(n, scan);
}

void finish_scan(struct notifier *n, struct scan *scan) {
  scan->has_begun = false;
  switch (scan->kind) {
    case CANDIDATE: finish_candidate(n, scan); return;
    case WATCHERS: finish_watchers(n, scan); return;
    case ALL:
      n->scanner.all_ns = scan->used_ns;
      if (!scan->is_incomplete) each_directory(n, end_uncertainty);
      return;
  }
}

/* ---- a candidate; without the lock */

static bool is_any_unwatched(struct notifier *n, const struct candidate_scan *own) {
  bool is_any = false;
  lock(n);
  for (size_t i = 0; i < own->current_count && !is_any; i++) {
    const struct directory *directory = find_directory(n, own->current[i]);
    is_any = directory && !is_known_watched(directory);
  }
  unlock(n);
  return is_any;
}

/* Adds the children of a process, which may have inherited its descriptors. */
static void add_children(struct scan *scan, int tid) {
  struct candidate_scan *own = &scan->candidate;
  int room = 1 + MAX_CHILDREN - own->process_count;
  own->process_count += read_children(tid, own->processes + own->process_count, room);
  if (own->process_count == 1 + MAX_CHILDREN) scan->is_incomplete = true;
}

static bool scan_candidate(struct notifier *n, struct scan *scan) {
  struct candidate_scan *own = &scan->candidate;
  /* The state first: a thread that sleeps by then has its watch, and the scan finds it */
  if (own->state == '\0' && !read_state((int)scan->id, &own->state, &own->start_ms)) {
    own->is_gone = true;
    return true;
  }
  while (own->process_index < own->process_count) {
    int tid = own->processes[own->process_index];
    enum found found = read_descriptors(n, tid, &scan->place);
    if (found == DEFERRED) return false;
    if (found == FAILED) scan->is_incomplete = true;
    if (found == DENIED && own->process_index == 0) own->is_denied = true;
    scan->place = 0;
    own->process_index++;
    if (own->process_count <= MAX_CHILDREN && is_any_unwatched(n, own)) add_children(scan, tid);
    if (is_time_up(n)) return own->process_index == own->process_count;
  }
  return true;
}

/* ---- a directory's watchers; without the lock */

/* Updates a watcher after its descriptor was read. Returns whether it still watches. */
static bool update_watcher(struct notifier *n, uint64_t ino, int tid, int fd, enum found found) {
  struct directory *directory = find_directory(n, ino);
  struct watcher *watcher = directory ? find_watcher(n, directory, tid, fd) : NULL;
  if (!watcher) return false;
  if (watcher->seen_in == n->scanner.current) {
    move_last(watcher);
    return true;
  }
  if (found == DENIED) directory->is_hidden = true;
  /* Before it was closed, the descriptor may have been passed on */
  else if (found != SOME) mark_uncertain(directory, now_ns());
  remove_watcher(n, watcher);
  return false;
}

/* Checks watchers until one still watches: that is enough. */
static bool scan_watchers(struct notifier *n, const struct scan *scan) {
  for (;;) {
    lock(n);
    struct directory *directory = find_directory(n, scan->id);
    struct watcher *watcher = directory ? directory->first_watcher : NULL;
    int tid = watcher ? watcher->tid : 0, fd = watcher ? watcher->fd : 0;
    unlock(n);
    if (!watcher) return true;
    n->scanner.current++;
    enum found found = read_descriptor(n, tid, fd);
    lock(n);
    bool is_watching = update_watcher(n, scan->id, tid, fd, found);
    unlock(n);
    if (is_watching) return true;
    if (is_time_up(n)) return false;
  }
}

/* ---- all processes; without the lock */

/* Returns the next number of a listing, 0 at its end. Returns -1 if it can't be read. */
static int next_number(struct listing *listing, const char *path) {
  if (listing->index == listing->count) {
    listing->index = 0;
    listing->count = read_numbers(path, &listing->place, listing->numbers, LISTED_AT_ONCE);
    if (listing->count <= 0) {
      int end = listing->count;
      listing->count = 0;
      return end;
    }
  }
  return listing->numbers[listing->index++];
}

/*
 * Returns the next process or thread to read, 0 at the end. `last` is the result of the last one.
 */
static int next_of_all(struct scan *scan, enum found last) {
  if (scan->processes.index > 0 && last == NONE) {
    /* The first thread has ended, or the process is the kernel's: others have the descriptors */
    char path[64];
    int pid = scan->processes.numbers[scan->processes.index - 1];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    for (int tid; (tid = next_number(&scan->threads, path)) > 0;) {
      if (tid != pid) return tid;
    }
  }
  scan->threads.count = scan->threads.index = 0;
  scan->threads.place = 0;
  int pid = next_number(&scan->processes, "/proc");
  if (pid < 0) scan->is_incomplete = true;
  return pid > 0 ? pid : 0;
}

static bool scan_all(struct notifier *n, struct scan *scan) {
  if (scan->tid == 0 && (scan->tid = next_of_all(scan, SOME)) == 0) return true;
  for (;;) {
    enum found found = read_descriptors(n, scan->tid, &scan->place);
    if (found == DEFERRED) return false;
    if (found == FAILED) scan->is_incomplete = true;
    scan->place = 0;
    scan->tid = next_of_all(scan, found);
    if (scan->tid == 0) return true;
    if (is_time_up(n)) return false;
  }
}

bool run_slice(struct notifier *n, struct scan *scan) {
  n->scanner.slice_end_ns = now_ns() + SLICE_NS;
  n->scanner.current++;
  switch (scan->kind) {
    case CANDIDATE: return scan_candidate(n, scan);
    case WATCHERS: return scan_watchers(n, scan);
    default: return scan_all(n, scan);
  }
}
