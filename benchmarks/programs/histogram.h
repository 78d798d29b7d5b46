/*
 * A histogram of times that keeps each value within 1/32: 32 buckets for each power of two, as HDR
 * histograms have them. benchmarks/compare/histogram.ts reads it.
 */
#ifndef COMPARE_HISTOGRAM_H
#define COMPARE_HISTOGRAM_H

#include "common.h"

#define HISTOGRAM_STEP_BITS 5
#define HISTOGRAM_STEPS (1u << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_POWERS 40 /* 2^40 ns are 18 minutes; longer times count as that. */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_POWERS - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
  volatile uint32_t counts[HISTOGRAM_BUCKETS];
};

/*
 * Returns the bucket of a time. Values below HISTOGRAM_STEPS have a bucket each; for others the
 * highest HISTOGRAM_STEP_BITS + 1 bits decide.
 */
static inline unsigned histogram_bucket(uint64_t ns) {
  if (ns < HISTOGRAM_STEPS) return (unsigned)ns;
  if (ns >= 1ull << HISTOGRAM_POWERS) return HISTOGRAM_BUCKETS - 1;
  unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
  return shift * HISTOGRAM_STEPS + (unsigned)(ns >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns) {
  histogram->counts[histogram_bucket(ns)]++;
}

#endif
