/*
 * A histogram of times that keeps every value to within 1/32 of itself: 32 buckets for each power of two, as HDR
 * histograms have them. benchmarks/compare/histogram.ts reads it.
 */
#ifndef COMPARE_HISTOGRAM_H
#define COMPARE_HISTOGRAM_H

#include "common.h"

#define HISTOGRAM_STEP_BITS 5
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_POWERS 40 /* 2^40 ns are 18 minutes; what takes longer counts as that */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_POWERS - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
  volatile uint32_t counts[HISTOGRAM_BUCKETS];
};

/* Below HISTOGRAM_STEPS each value has a bucket; above, the highest HISTOGRAM_STEP_BITS + 1 bits tell. */
static inline unsigned histogram_bucket(uint64_t ns) {
  if (ns < HISTOGRAM_STEPS) return (unsigned)ns;
  if (ns >= 1ull << HISTOGRAM_POWERS) return HISTOGRAM_BUCKETS - 1;
  unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
  return shift * HISTOGRAM_STEPS + (unsigned)(ns >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns) { histogram->counts[histogram_bucket(ns)]++; }

#endif
