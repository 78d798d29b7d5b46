/*
 * The thread that looks for watchers. What it has to do are looks of three kinds:
 *
 *   a look at an asker     its descriptors, and those of the processes that it has started since
 *   a look at a watcher    whether a descriptor that has watched a directory still does
 *   the look at everybody  all processes, because one that we don't know may have got a descriptor
 *
 * A user's processes may have any number of descriptors, and a descriptor any number of watches. So a look is done in
 * slices, and goes on from where it stopped. Its first slice is prompt: the main thread waits for it. Later slices take
 * a small share of a CPU, turn by turn with all other looks. Until an asker's look is done its directory counts as watched.
 *
 * A look is no snapshot. A process that moves an inotify descriptor meanwhile, to a number or a process that has been
 * looked at, is not found if it does not ask for the directory again.
 */
#include "notifier.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_CHILDREN 64
#define BUCKETS 1024
#define LISTED_AT_ONCE 64

/*
 * For how much of the looking thread's CPU time the main thread waits: for prompt looks, and for the look at everybody.
 * On a busy machine that takes longer, as all else does, but no longer than the last of these.
 */
#define PATIENCE_NS (2 * MS)
#define EVERYBODY_PATIENCE_NS (8 * MS)
#define MOST_PATIENCE_NS (50 * MS)
#define WAKE_UP_NS (1 * MS)
/* How long one slice takes. */
#define SLICE_NS (1 * MS)
/* Looks take at most one part in so many of a CPU's time: their first slices, and all others. */
#define PROMPT_SHARE 4
#define SCAN_SHARE 20
/* A share that has not been used for so long may be used at once. */
#define SHARE_KEPT_NS (200 * MS)
/* How soon a directory's watchers are looked at again. */
#define CHECK_AGAIN_NS (100 * MS)

enum kind { ASKER, WATCHER, EVERYBODY };

struct look {
  enum kind kind;
  uint64_t id; /* of an asker its thread, of a watcher the inode of its directory */
  struct look *next_in_bucket;
  struct look *next; /* in its queue */
  bool is_queued;
  bool is_begun;
  bool is_incomplete; /* not all could be looked at */
  uint32_t began_in;  /* the batch */
  uint64_t began_ns;

  /* An asker's: the directories that wait for this look, and those that wait for the next one. */
  uint64_t *current;
  size_t current_count;
  uint64_t *waiting;
  size_t waiting_count;
  bool is_gone;
  bool is_refused;
  char state;
  uint64_t start_ms;
  int processes[1 + MOST_CHILDREN];
  int process_count;
  int process_index;

  /* Everybody's: the processes that are listed, and where the listings stand. */
  int listed[LISTED_AT_ONCE];
  int listed_count;
  int listed_index;
  long listed_place;
  int threads[LISTED_AT_ONCE]; /* of a process whose first thread has no descriptors */
  int thread_count;
  int thread_index;
  long thread_place;

  /* The process or thread that is being looked at, 0 for none, and where that stands. */
  int tid;
  long place;
  uint64_t used_ns; /* of a CPU's time, so far */
};

struct queue {
  struct look *first;
  struct look *last;
  uint64_t share;
  uint64_t next_ns; /* when its share allows the next slice */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_work, has_news;
static struct look *buckets[BUCKETS];
static struct look everybody = {.kind = EVERYBODY};
static struct queue prompt = {.share = PROMPT_SHARE};
static struct queue later = {.share = SCAN_SHARE};
static clockid_t looking_clock; /* the CPU time of the thread */
/* Looks in the prompt queue, with the one that is under way; the share does not allow one now. */
static size_t prompt_count;
static bool is_prompt_held;
/* The look at everybody is in the prompt queue, and was no longer than is waited for the last time. */
static bool is_everybody_prompt;
/* How much CPU time the last look at everybody took. */
static uint64_t everybody_ns;

void lock_all(void) { pthread_mutex_lock(&lock); }
void unlock_all(void) { pthread_mutex_unlock(&lock); }

/* ---- what there is to look at; all with the lock */

static void put_in(struct queue *queue, struct look *look) {
  look->next = NULL;
  if (queue->first) queue->last->next = look;
  else queue->first = look;
  queue->last = look;
  look->is_queued = true;
}

static struct look *take_from(struct queue *queue) {
  struct look *look = queue->first;
  queue->first = look->next;
  look->is_queued = false;
  return look;
}

static void begin_promptly(struct look *look) {
  put_in(&prompt, look);
  prompt_count++;
  pthread_cond_signal(&has_work);
}

static void begin_later(struct look *look) {
  put_in(&later, look);
  pthread_cond_signal(&has_work);
}

static struct look **place_of(enum kind kind, uint64_t id) {
  struct look **place = &buckets[(id * 2 + kind) % BUCKETS];
  while (*place && ((*place)->id != id || (*place)->kind != kind)) place = &(*place)->next_in_bucket;
  return place;
}

static struct look *enter_look(enum kind kind, uint64_t id) {
  struct look **place = place_of(kind, id);
  if (*place) return *place;
  *place = grow(NULL, sizeof **place);
  memset(*place, 0, sizeof **place);
  (*place)->kind = kind;
  (*place)->id = id;
  return *place;
}

static void forget_look(struct look *look) {
  *place_of(look->kind, look->id) = look->next_in_bucket;
  free(look->current);
  free(look->waiting);
  free(look);
}

static void ask_for_asker(struct directory *directory, struct asker *asker) {
  if (asker->is_waiting) return;
  asker->is_waiting = true;
  struct look *look = enter_look(ASKER, (uint64_t)asker->tid);
  size_t count = look->waiting_count++;
  if ((count & (count - 1)) == 0) look->waiting = grow(look->waiting, (count ? count * 2 : 1) * sizeof *look->waiting);
  look->waiting[count] = directory->ino;
  if (!look->is_queued && !look->is_begun) begin_promptly(look); /* else it is begun again at its end */
}

static void ask_for_watchers(struct directory *directory) {
  if (directory->is_checking || now_ns() < directory->checked_ns + CHECK_AGAIN_NS) return;
  directory->is_checking = true;
  struct look *look = enter_look(WATCHER, directory->ino);
  if (look->is_queued || look->is_begun) return;
  begin_later(look);
}

static void ask_for_everybody(const struct directory *directory) {
  if (!directory->is_in_doubt || directory->first_watcher || directory->doubted_ns > now_ns()) return;
  if (everybody.is_queued || everybody.is_begun) return;
  if (everybody_ns <= EVERYBODY_PATIENCE_NS && later.next_ns <= now_ns()) {
    is_everybody_prompt = true;
    begin_promptly(&everybody);
  } else {
    begin_later(&everybody);
  }
}

void ask_for_looks(struct directory *directory) {
  for (size_t i = 0; i < directory->asker_count; i++) ask_for_asker(directory, &directory->askers[i]);
  if (directory->first_watcher) ask_for_watchers(directory);
  ask_for_everybody(directory);
}

bool is_known_watched(const struct directory *directory) { return directory->first_watcher || directory->is_hidden; }

bool may_be_watched(const struct directory *directory) {
  if (is_known_watched(directory) || directory->is_in_doubt) return true;
  for (size_t i = 0; i < directory->asker_count; i++)
    if (directory->askers[i].looked_in != batch) return true;
  return false;
}

/* How long the looking thread has run: on a busy machine that is less than time goes by. */
static uint64_t looking_ns(void) {
  struct timespec used;
  clock_gettime(looking_clock, &used);
  return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void wait_until(pthread_cond_t *condition, uint64_t ns) {
  struct timespec until = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  pthread_cond_timedwait(condition, &lock, &until);
}

void wait_for_looks(void) {
  uint64_t began_ns = now_ns(), before_ns = looking_ns();
  while (prompt_count > 0 && !is_prompt_held) {
    uint64_t now = now_ns();
    uint64_t patience_ns = is_everybody_prompt ? EVERYBODY_PATIENCE_NS : PATIENCE_NS;
    if (now >= began_ns + MOST_PATIENCE_NS || looking_ns() - before_ns >= patience_ns) return;
    wait_until(&has_news, now + WAKE_UP_NS);
  }
}

/* ---- a look's begin and end; with the lock */

/* False when there is nothing to look at (any more). */
static bool begin(struct look *look) {
  look->is_begun = true;
  look->is_incomplete = false;
  look->began_in = batch;
  look->began_ns = now_ns();
  look->tid = 0;
  look->place = 0;
  if (look->kind == WATCHER) return find_directory(look->id) != NULL;
  if (look->kind == EVERYBODY) {
    look->listed_count = look->listed_index = look->thread_count = look->thread_index = 0;
    look->listed_place = 0;
    return true;
  }
  uint64_t *room = look->current;
  look->current = look->waiting;
  look->waiting = room;
  size_t count = look->waiting_count;
  look->waiting_count = look->current_count = 0;
  free(look->waiting);
  look->waiting = NULL;
  for (size_t i = 0; i < count; i++) {
    struct directory *directory = find_directory(look->current[i]);
    struct asker *asker = directory ? find_asker(directory, (int)look->id) : NULL;
    if (!asker) continue;
    asker->is_waiting = false;
    look->current[look->current_count++] = directory->ino;
  }
  look->is_gone = look->is_refused = false;
  look->state = '\0';
  look->processes[0] = (int)look->id;
  look->process_count = 1;
  look->process_index = 0;
  return look->current_count > 0;
}

/* What a look at an asker means for a directory. */
static void apply(const struct look *look, struct directory *directory) {
  struct asker *asker = find_asker(directory, (int)look->id);
  if (!asker || asker->added_in > look->began_in) return;
  /* Another thread that had this number has ended, or all of it has: it may have handed its watch on. */
  if (look->is_gone || look->start_ms > asker->first_asked_ms || look->is_incomplete) doubt(directory, now_ns());
  asker->first_asked_ms = asker->asked_ms;
  if (look->is_refused) directory->is_hidden = true;
  bool is_ended = look->is_gone || look->start_ms > asker->asked_ms;
  /* Once its question is answered, inotify_add_watch(2) runs or waits for memory and locks, in state D. */
  if (!is_ended && (look->state == 'R' || look->state == 'D')) asker->looked_in = look->began_in;
  else remove_asker(directory, asker);
  ask_for_everybody(directory);
}

static void end_doubt(struct directory *directory) {
  if (directory->doubted_ns <= everybody.began_ns) directory->is_in_doubt = false;
}

static void finish(struct look *look) {
  struct directory *directory;
  look->is_begun = false;
  switch (look->kind) {
    case EVERYBODY:
      everybody_ns = look->used_ns;
      if (!look->is_incomplete) each_directory(end_doubt);
      return;
    case WATCHER:
      directory = find_directory(look->id);
      if (directory) {
        directory->is_checking = false;
        directory->checked_ns = now_ns();
        ask_for_everybody(directory);
      }
      forget_look(look);
      return;
    case ASKER:
      for (size_t i = 0; i < look->current_count; i++)
        if ((directory = find_directory(look->current[i])) != NULL) apply(look, directory);
      look->current_count = 0;
      if (look->waiting_count > 0) put_in(&later, look);
      else forget_look(look);
      return;
  }
}

/* ---- a slice of a look; without the lock. True when the look is done */

static bool is_any_unwatched(const struct look *look) {
  bool is_any = false;
  lock_all();
  for (size_t i = 0; i < look->current_count && !is_any; i++) {
    const struct directory *directory = find_directory(look->current[i]);
    is_any = directory && !is_known_watched(directory);
  }
  unlock_all();
  return is_any;
}

/* Processes that an asker has started since may have inherited its descriptors. */
static void add_children(struct look *look, int tid) {
  int left = 1 + MOST_CHILDREN - look->process_count;
  look->process_count += read_children(tid, look->processes + look->process_count, left);
  if (look->process_count == 1 + MOST_CHILDREN) look->is_incomplete = true;
}

static bool look_at_asker(struct look *look) {
  /* The state first: a watch that is there when the thread sleeps is seen after that. */
  if (look->state == '\0' && !read_state((int)look->id, &look->state, &look->start_ms)) {
    look->is_gone = true;
    return true;
  }
  while (look->process_index < look->process_count) {
    int tid = look->processes[look->process_index];
    enum found found = read_descriptors(tid, &look->place);
    if (found == PUT_OFF) return false;
    if (found == UNKNOWN) look->is_incomplete = true;
    if (found == REFUSED && look->process_index == 0) look->is_refused = true;
    look->place = 0;
    look->process_index++;
    if (look->process_count <= MOST_CHILDREN && is_any_unwatched(look)) add_children(look, tid);
    if (time_is_up()) return look->process_index == look->process_count;
  }
  return true;
}

/*
 * Looks at a directory's watchers until one is found that still watches: that is enough. A descriptor that has been
 * closed may have been handed on before.
 */
static bool look_at_watchers(struct look *look) {
  for (;;) {
    lock_all();
    struct directory *directory = find_directory(look->id);
    struct watcher *watcher = directory ? directory->first_watcher : NULL;
    int tid = watcher ? watcher->tid : 0, fd = watcher ? watcher->fd : 0;
    unlock_all();
    if (!watcher) return true;
    current_look++;
    enum found found = read_descriptor(tid, fd);
    lock_all();
    directory = find_directory(look->id);
    watcher = directory ? find_watcher(directory, tid, fd) : NULL;
    bool is_seen = watcher && watcher->seen_in == current_look;
    if (is_seen) {
      move_last(watcher);
    } else if (watcher) {
      if (found == REFUSED) directory->is_hidden = true;
      else if (found != SOME) doubt(directory, now_ns());
      remove_watcher(watcher);
    }
    unlock_all();
    if (is_seen) return true;
    if (time_is_up()) return false;
  }
}

/* The next process or thread to look at, 0 for none. */
static int next_of_everybody(struct look *look, enum found last) {
  char path[64];
  if (look->listed_index > 0 && last == NONE) {
    /* Its first thread has ended, or it is the kernel's: the others have the descriptors. */
    int pid = look->listed[look->listed_index - 1];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    for (;;) {
      if (look->thread_index == look->thread_count) {
        look->thread_index = 0;
        look->thread_count = read_numbers(path, &look->thread_place, look->threads, LISTED_AT_ONCE);
        if (look->thread_count <= 0) break;
      }
      int tid = look->threads[look->thread_index++];
      if (tid != pid) return tid;
    }
  }
  look->thread_count = look->thread_index = 0;
  look->thread_place = 0;
  if (look->listed_index == look->listed_count) {
    look->listed_index = 0;
    look->listed_count = read_numbers("/proc", &look->listed_place, look->listed, LISTED_AT_ONCE);
    if (look->listed_count < 0) look->is_incomplete = true;
    if (look->listed_count <= 0) return look->listed_count = 0;
  }
  return look->listed[look->listed_index++];
}

static bool look_at_everybody(struct look *look) {
  if (look->tid == 0 && (look->tid = next_of_everybody(look, SOME)) == 0) return true;
  for (;;) {
    enum found found = read_descriptors(look->tid, &look->place);
    if (found == PUT_OFF) return false;
    if (found == UNKNOWN) look->is_incomplete = true;
    look->place = 0;
    look->tid = next_of_everybody(look, found);
    if (look->tid == 0) return true;
    if (time_is_up()) return false;
  }
}

static bool do_slice(struct look *look) {
  slice_end_ns = now_ns() + SLICE_NS;
  current_look++;
  switch (look->kind) {
    case ASKER: return look_at_asker(look);
    case WATCHER: return look_at_watchers(look);
    default: return look_at_everybody(look);
  }
}

/* ---- the thread */

/* The queue whose turn it is; NULL when none may have a slice now: then `*until_ns` says when, 0 for never. */
static struct queue *next_queue(uint64_t *until_ns) {
  uint64_t now = now_ns();
  struct queue *const queues[] = {&prompt, &later};
  *until_ns = 0;
  is_prompt_held = prompt.first && prompt.next_ns > now;
  for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
    struct queue *queue = queues[i];
    if (!queue->first) continue;
    if (queue->next_ns <= now) return queue;
    if (*until_ns == 0 || queue->next_ns < *until_ns) *until_ns = queue->next_ns;
  }
  return NULL;
}

static void charge(struct queue *queue, uint64_t used_ns) {
  uint64_t now = now_ns();
  if (queue->next_ns + SHARE_KEPT_NS < now) queue->next_ns = now - SHARE_KEPT_NS;
  queue->next_ns += used_ns * queue->share;
}

/* One slice of the queue's first look. */
static void work_on(struct queue *queue) {
  struct look *look = take_from(queue);
  uint64_t before_ns = looking_ns();
  if (!look->is_begun) look->used_ns = 0;
  bool is_done = !look->is_begun && !begin(look);
  if (!is_done) {
    unlock_all();
    is_done = do_slice(look);
    lock_all();
  }
  uint64_t used_ns = looking_ns() - before_ns;
  look->used_ns += used_ns;
  charge(look->kind == EVERYBODY ? &later : queue, used_ns);
  bool is_prompt = queue == &prompt && look->kind == EVERYBODY && look->used_ns < EVERYBODY_PATIENCE_NS && !is_done;
  if (queue == &prompt && !is_prompt) prompt_count--;
  if (look->kind == EVERYBODY) is_everybody_prompt = is_prompt;
  if (is_done) finish(look);
  else put_in(is_prompt ? &prompt : &later, look);
}

static void *look_on(void *unused) {
  (void)unused;
  lock_all();
  for (;;) {
    uint64_t until_ns;
    struct queue *queue = next_queue(&until_ns);
    if (prompt_count == 0 || is_prompt_held) pthread_cond_signal(&has_news);
    if (queue) work_on(queue);
    else if (until_ns != 0) wait_until(&has_work, until_ns);
    else pthread_cond_wait(&has_work, &lock);
  }
  return NULL;
}

void start_looking(void) {
  pthread_t thread;
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&has_work, &monotonic);
  pthread_cond_init(&has_news, &monotonic);
  lock_all(); /* until the thread's clock is known */
  int error = pthread_create(&thread, NULL, look_on, NULL);
  if (error == 0) error = pthread_getcpuclockid(thread, &looking_clock);
  if (error != 0) die(EXIT_TRY_LATER, "no thread to look for watchers: %s", strerror(error));
  unlock_all();
}
