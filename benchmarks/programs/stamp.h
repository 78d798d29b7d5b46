/*
 * The time at which an event was published: CLOCK_MONOTONIC nanoseconds in 20 digits, at the begin
 * of the padding of test/programs/shared/record.h.
 */
#ifndef COMPARE_STAMP_H
#define COMPARE_STAMP_H

#include "record.h"

#define STAMP_AT (RECORD_HEAD_BYTES + RECORD_DIGITS + sizeof RECORD_PAD - 1)
#define STAMP_DIGITS 20
#define STAMPED_BYTES_LEAST (RECORD_BYTES_LEAST + STAMP_DIGITS)

static inline void stamp_record(char *record, uint64_t ns) {
  for (char *digit = record + STAMP_AT + STAMP_DIGITS - 1; digit >= record + STAMP_AT; digit--) {
    *digit = (char)('0' + ns % 10);
    ns /= 10;
  }
}

static inline uint64_t stamp_of(const char *record) {
  uint64_t ns = 0;
  for (size_t i = 0; i < STAMP_DIGITS; i++) ns = ns * 10 + (uint64_t)(record[STAMP_AT + i] - '0');
  return ns;
}

#endif
