/*
 * The scanning thread.
 *
 * A user's processes may have any number of descriptors, and a descriptor any number of watches. So
 * a scan runs in slices, and continues where it stopped. Its first slice is prompt: the main thread
 * waits for it. Later slices get a small share of a CPU, in turns with those of all other scans.
 * Until a candidate's scan is done, its directory counts as watched.
 */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

/*
 * The scanning thread's CPU time for which the main thread waits: for prompt scans, and for the
 * scan of all processes. On a busy machine that takes longer in real time, but no longer than the
 * last of these.
 */
#define WAIT_NS (2 * MS)
#define WAIT_FOR_ALL_NS (20 * MS)
#define MAX_WAIT_NS (100 * MS)
#define WAKE_UP_NS (1 * MS)
/* Scans take at most one part in this many of a CPU's time: their first slices, and all others. */
#define PROMPT_SHARE 4
#define LATER_SHARE 20
/* The longest time whose unused share may be used later. */
#define SHARE_KEPT_NS (200 * MS)
/* How soon a directory's watchers are checked again. */
#define CHECK_AGAIN_NS (100 * MS)

void lock(struct notifier *n) { pthread_mutex_lock(&n->scanner.lock); }
void unlock(struct notifier *n) { pthread_mutex_unlock(&n->scanner.lock); }

/* ---- queues; with the lock */

static void enqueue(struct scan_queue *queue, struct scan *scan) {
  scan->next = NULL;
  if (queue->first) queue->last->next = scan;
  else queue->first = scan;
  queue->last = scan;
  scan->is_queued = true;
}

static struct scan *dequeue(struct scan_queue *queue) {
  struct scan *scan = queue->first;
  queue->first = scan->next;
  scan->is_queued = false;
  return scan;
}

static void queue_promptly(struct notifier *n, struct scan *scan) {
  enqueue(&n->scanner.prompt, scan);
  n->scanner.prompt_count++;
  pthread_cond_signal(&n->scanner.has_work);
}

void queue_later(struct notifier *n, struct scan *scan) {
  enqueue(&n->scanner.later, scan);
  pthread_cond_signal(&n->scanner.has_work);
}

/* ---- the scans of candidates and watchers; with the lock */

static struct scan **place_of(struct notifier *n, enum kind kind, uint64_t id) {
  struct scan **place = &n->scanner.buckets[(id * 2 + kind) % SCAN_BUCKETS];
  while (*place && ((*place)->id != id || (*place)->kind != kind)) {
    place = &(*place)->next_in_bucket;
  }
  return place;
}

static struct scan *new_scan(enum kind kind, uint64_t id) {
  struct scan *scan = grow(NULL, sizeof *scan);
  memset(scan, 0, sizeof *scan);
  scan->kind = kind;
  scan->id = id;
  return scan;
}

/* Finds a scan, or adds it. */
static struct scan *enter_scan(struct notifier *n, enum kind kind, uint64_t id) {
  struct scan **place = place_of(n, kind, id);
  if (!*place) *place = new_scan(kind, id);
  return *place;
}

void forget_scan(struct notifier *n, struct scan *scan) {
  *place_of(n, scan->kind, scan->id) = scan->next_in_bucket;
  free(scan->candidate.current);
  free(scan->candidate.waiting);
  free(scan);
}

/* ---- requests; with the lock */

static void request_candidate(struct notifier *n, struct directory *directory,
                              struct candidate *candidate) {
  if (candidate->is_waiting) return;
  candidate->is_waiting = true;
  struct scan *scan = enter_scan(n, CANDIDATE, (uint64_t)candidate->tid);
  struct candidate_scan *own = &scan->candidate;
  size_t count = own->waiting_count++;
  own->waiting = room_for_one(own->waiting, count, sizeof *own->waiting);
  own->waiting[count] = directory->ino;
  /* A scan that has begun is queued again at its end */
  if (!scan->is_queued && !scan->has_begun) queue_promptly(n, scan);
}

static void request_watchers(struct notifier *n, struct directory *directory) {
  if (directory->is_checking || now_ns() < directory->checked_ns + CHECK_AGAIN_NS) return;
  directory->is_checking = true;
  struct scan *scan = enter_scan(n, WATCHERS, directory->ino);
  if (!scan->is_queued && !scan->has_begun) queue_later(n, scan);
}

void request_all(struct notifier *n, const struct directory *directory) {
  struct scanner *scanner = &n->scanner;
  if (!directory->is_uncertain || directory->first_watcher) return;
  if (directory->uncertain_ns > now_ns()) return;
  if (scanner->all->is_queued || scanner->all->has_begun) return;
  if (scanner->all_ns <= WAIT_FOR_ALL_NS && scanner->later.next_ns <= now_ns()) {
    scanner->is_all_prompt = true;
    queue_promptly(n, scanner->all);
  } else {
    queue_later(n, scanner->all);
  }
}

void request_scans(struct notifier *n, struct directory *directory) {
  for (size_t i = 0; i < directory->candidate_count; i++) {
    request_candidate(n, directory, &directory->candidates[i]);
  }
  if (directory->first_watcher) request_watchers(n, directory);
  request_all(n, directory);
}

/* ---- results; with the lock */

bool is_known_watched(const struct directory *directory) {
  return directory->first_watcher || directory->is_hidden;
}

bool may_be_watched(const struct notifier *n, const struct directory *directory) {
  if (is_known_watched(directory) || directory->is_uncertain) return true;
  for (size_t i = 0; i < directory->candidate_count; i++) {
    if (directory->candidates[i].scanned_in != n->batch.number) return true;
  }
  return false;
}

/* Returns the scanning thread's CPU time. On a busy machine it is less than the real time. */
static uint64_t scanning_ns(const struct notifier *n) {
  struct timespec used;
  clock_gettime(n->scanner.clock, &used);
  return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void wait_until(struct notifier *n, pthread_cond_t *condition, uint64_t ns) {
  struct timespec until = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  pthread_cond_timedwait(condition, &n->scanner.lock, &until);
}

void wait_for_scans(struct notifier *n) {
  struct scanner *scanner = &n->scanner;
  uint64_t began_ns = now_ns(), before_ns = scanning_ns(n);
  while (scanner->prompt_count > 0 && !scanner->is_prompt_delayed) {
    uint64_t now = now_ns();
    uint64_t wait_ns = scanner->is_all_prompt ? WAIT_FOR_ALL_NS : WAIT_NS;
    if (now >= began_ns + MAX_WAIT_NS || scanning_ns(n) - before_ns >= wait_ns) return;
    wait_until(n, &scanner->has_news, now + WAKE_UP_NS);
  }
}

/* ---- the thread */

/*
 * Returns the queue whose turn it is. If the shares allow no slice now, returns NULL and the time
 * of the next one in `*until_ns`, 0 for never.
 */
static struct scan_queue *next_queue(struct scanner *scanner, uint64_t *until_ns) {
  uint64_t now = now_ns();
  struct scan_queue *const queues[] = {&scanner->prompt, &scanner->later};
  *until_ns = 0;
  scanner->is_prompt_delayed = scanner->prompt.first && scanner->prompt.next_ns > now;
  for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
    struct scan_queue *queue = queues[i];
    if (!queue->first) continue;
    if (queue->next_ns <= now) return queue;
    if (*until_ns == 0 || queue->next_ns < *until_ns) *until_ns = queue->next_ns;
  }
  return NULL;
}

static void charge(struct scan_queue *queue, uint64_t used_ns) {
  uint64_t now = now_ns();
  if (queue->next_ns + SHARE_KEPT_NS < now) queue->next_ns = now - SHARE_KEPT_NS;
  queue->next_ns += used_ns * queue->share;
}

/* Runs one slice of the queue's first scan. */
static void run_next(struct notifier *n, struct scan_queue *queue) {
  struct scanner *scanner = &n->scanner;
  struct scan *scan = dequeue(queue);
  uint64_t before_ns = scanning_ns(n);
  bool is_all = scan->kind == ALL;
  bool is_done = !scan->has_begun && !begin_scan(n, scan);
  if (!is_done) {
    unlock(n);
    is_done = run_slice(n, scan);
    lock(n);
  }
  uint64_t used_ns = scanning_ns(n) - before_ns;
  scan->used_ns += used_ns;
  charge(is_all ? &scanner->later : queue, used_ns);
  bool was_prompt = queue == &scanner->prompt;
  bool is_short = scan->used_ns < WAIT_FOR_ALL_NS;
  bool stays_prompt = was_prompt && is_all && is_short && !is_done;
  if (was_prompt && !stays_prompt) scanner->prompt_count--;
  if (is_all) scanner->is_all_prompt = stays_prompt;
  if (is_done) finish_scan(n, scan);
  else enqueue(stays_prompt ? &scanner->prompt : &scanner->later, scan);
}

static void *scan_forever(void *context) {
  struct notifier *n = context;
  struct scanner *scanner = &n->scanner;
  lock(n);
  for (;;) {
    uint64_t until_ns;
    struct scan_queue *queue = next_queue(scanner, &until_ns);
    if (scanner->prompt_count == 0 || scanner->is_prompt_delayed) {
      pthread_cond_signal(&scanner->has_news);
    }
    if (queue) run_next(n, queue);
    else if (until_ns != 0) wait_until(n, &scanner->has_work, until_ns);
    else pthread_cond_wait(&scanner->has_work, &scanner->lock);
  }
  return NULL;
}

void start_scanning(struct notifier *n) {
  struct scanner *scanner = &n->scanner;
  pthread_t thread;
  pthread_condattr_t monotonic;
  scanner->all = new_scan(ALL, 0);
  scanner->prompt.share = PROMPT_SHARE;
  scanner->later.share = LATER_SHARE;
  pthread_mutex_init(&scanner->lock, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&scanner->has_work, &monotonic);
  pthread_cond_init(&scanner->has_news, &monotonic);
  lock(n); /* until the thread's clock is known */
  int error = pthread_create(&thread, NULL, scan_forever, n);
  if (error == 0) error = pthread_getcpuclockid(thread, &scanner->clock);
  if (error != 0) die(EXIT_TRY_LATER, "the scanning thread did not start: %s", strerror(error));
  unlock(n);
}
