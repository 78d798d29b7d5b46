/* The counts of many child processes in shared memory, and their rate over a time. */
#ifndef PROGRAMS_TALLY_H
#define PROGRAMS_TALLY_H

#include "common.h"

#define TALLIES_MOST 4096l
#define READ_BYTES 65536 /* one read(2) of a reader */

/*
 * Only one process writes it, so there are no atomics. It has a cache line of its own, so that
 * counting does not slow the other processes.
 */
struct tally {
  _Alignas(64) volatile uint64_t reads;
  volatile uint64_t bytes;
  volatile uint64_t events;
  volatile uint64_t single_reads; /* reads that returned exactly one event */
  volatile uint64_t lost;
  volatile uint64_t disorder;
  volatile bool ready;
};

struct totals {
  uint64_t at_ns;
  uint64_t reads, single_reads, bytes, events, lost, disorder;
};

static inline struct tally *map_tallies(size_t count) {
  return map_shared(count * sizeof(struct tally));
}

static inline struct totals sum_tallies(const struct tally *tallies, size_t count) {
  struct totals totals = {.at_ns = now_ns()};
  for (size_t i = 0; i < count; i++) {
    totals.reads += tallies[i].reads;
    totals.single_reads += tallies[i].single_reads;
    totals.bytes += tallies[i].bytes;
    totals.events += tallies[i].events;
    totals.lost += tallies[i].lost;
    totals.disorder += tallies[i].disorder;
  }
  return totals;
}

static inline double seconds_between(struct totals from, struct totals to) {
  return (double)(to.at_ns - from.at_ns) / NS_PER_S;
}

/* Waits until every child is ready. */
static inline void await_tallies(const struct tally *tallies, size_t count) {
  for (size_t i = 0; i < count; i++)
    while (!tallies[i].ready) {
      expect_children_alive();
      sleep_ns(NS_PER_MS);
    }
}

#endif
