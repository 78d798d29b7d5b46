/* What many child processes have counted, in shared memory, and its rate over a time. */
#ifndef PROGRAMS_TALLY_H
#define PROGRAMS_TALLY_H

#include "common.h"

#define TALLIES_MOST 4096l
#define READ_BYTES 65536 /* one read(2) of a reader */

/* Written by one process only, so no atomics; a cache line of its own, so that counting costs the others nothing. */
struct tally {
  _Alignas(64) volatile uint64_t reads;
  volatile uint64_t bytes;
  volatile uint64_t events;
  volatile uint64_t single_reads; /* that gave exactly one event */
  volatile uint64_t lost;
  volatile uint64_t disorder;
  volatile bool ready;
};

struct totals {
  uint64_t at_ns;
  uint64_t reads, single_reads, bytes, events, lost, disorder;
};

static inline struct tally *map_tallies(size_t count) { return map_shared(count * sizeof(struct tally)); }

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

/* Waits until every child has said that it is ready. */
static inline void await_tallies(const struct tally *tallies, size_t count) {
  for (size_t i = 0; i < count; i++)
    while (!tallies[i].ready) {
      expect_children_alive();
      sleep_ns(NS_PER_MS);
    }
}

#endif
