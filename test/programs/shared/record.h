/*
 * The event that the throughput benchmarks publish, and its record in a stream: the text, then an
 * empty line. Its size is chosen to the byte, and it carries a number, so that a reader can tell
 * which events it has missed.
 */
#ifndef PROGRAMS_RECORD_H
#define PROGRAMS_RECORD_H

#include "common.h"

#define RECORD_FIRST_LINE "change@/bench/floor\n"
#define RECORD_HEAD RECORD_FIRST_LINE "ACTION=change\nDEVPATH=/bench/floor\nSUBSYSTEM=bench\nN="
#define RECORD_HEAD_BYTES (sizeof RECORD_HEAD - 1)
#define RECORD_DIGITS 8
#define RECORD_NUMBERS 100000000u
#define RECORD_PAD "\nPAD="
#define RECORD_END_BYTES 2 /* the end of the last line, and the empty line */
#define RECORD_BYTES_LEAST \
  ((long)(RECORD_HEAD_BYTES + RECORD_DIGITS + sizeof RECORD_PAD - 1 + RECORD_END_BYTES))
#define RECORD_BYTES_MOST 65536l

/* Writes only the number of a record. */
static inline void record_set_number(char *record, uint32_t number) {
  for (char *digit = record + RECORD_HEAD_BYTES + RECORD_DIGITS - 1;
       digit >= record + RECORD_HEAD_BYTES; digit--) {
    *digit = (char)('0' + number % 10);
    number /= 10;
  }
}

/*
 * Makes a record of exactly `bytes` bytes, with number 0. `publish` takes it without its last byte,
 * the empty line.
 */
static inline char *record_new(size_t bytes) {
  char *record = malloc(bytes);
  if (!record) die("malloc: %m");
  memset(record, 'x', bytes);
  memcpy(record, RECORD_HEAD, RECORD_HEAD_BYTES);
  record_set_number(record, 0);
  memcpy(record + RECORD_HEAD_BYTES + RECORD_DIGITS, RECORD_PAD, sizeof RECORD_PAD - 1);
  memset(record + bytes - RECORD_END_BYTES, '\n', RECORD_END_BYTES);
  return record;
}

static inline long parse_record_bytes(const char *text) {
  return parse_number(text, "BYTES", RECORD_BYTES_LEAST, RECORD_BYTES_MOST);
}

#endif
