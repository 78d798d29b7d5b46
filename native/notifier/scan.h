/* A scan: what scan.c and scan_queue.c share. */
#ifndef SCAN_H
#define SCAN_H

#include "notifier.h"

#define MAX_CHILDREN 64
#define LISTED_AT_ONCE 64

enum kind {
  CANDIDATE, /* a candidate's descriptors, and those of the processes that it has started since */
  WATCHERS,  /* whether a descriptor that has watched a directory still does */
  ALL,       /* all processes, because an unknown one may have got a watch */
};

/*
 * The scan of one process that may watch: the directories that wait for this scan of it, and those
 * that wait for the next scan.
 */
struct candidate_scan {
  uint64_t *current;
  size_t current_count;
  uint64_t *waiting;
  size_t waiting_count;
  bool is_gone;
  bool is_denied;
  char state;
  uint64_t start_ms;
  int processes[1 + MAX_CHILDREN];
  int process_count;
  int process_index;
};

/* A listing of /proc or of a process's threads, and its position. */
struct listing {
  int numbers[LISTED_AT_ONCE];
  int count;
  int index;
  long place;
};

struct scan {
  enum kind kind;
  uint64_t id; /* of a candidate its thread, of watchers the inode of their directory */
  struct scan *next_in_bucket;
  struct scan *next; /* in its queue */
  bool is_queued;
  bool has_begun;
  bool is_incomplete; /* not all descriptors could be read */
  uint32_t began_in;  /* the batch */
  uint64_t began_ns;
  struct candidate_scan candidate;
  struct listing processes; /* of the scan of all */
  struct listing threads;   /* of a process whose first thread has no descriptors */
  /* The process or thread that is being read, 0 for none, and the position in its descriptors. */
  int tid;
  long place;
  uint64_t used_ns; /* of a CPU's time, so far */
};

/* --- scan.c --- */

/* Begins a scan. Returns false if there is nothing to scan any more. With the lock. */
bool begin_scan(struct notifier *n, struct scan *scan);
/* Applies the results of a scan that is done. With the lock. */
void finish_scan(struct notifier *n, struct scan *scan);
/* Scans for a while. Returns true once the scan is done. Without the lock. */
bool run_slice(struct notifier *n, struct scan *scan);

/* --- scan_queue.c: with the lock --- */

/* Queues a scan for its turn after all prompt ones. */
void queue_later(struct notifier *n, struct scan *scan);
/* Requests a scan of all processes, if only that can tell whether the directory is watched. */
void request_all(struct notifier *n, const struct directory *directory);
void forget_scan(struct notifier *n, struct scan *scan);

#endif
