/*
 * Checks that a reader gets the published events: the numbers of each publisher in order, with no
 * more missing than `overflow@/eventfs` records state.
 */
#ifndef PROGRAMS_ORDER_H
#define PROGRAMS_ORDER_H

#include "record.h"
#include "tally.h"

#define OVERFLOW_HEAD "overflow@/eventfs\n"

#define PUBLISHERS_MOST 16
/* Each publisher has this many numbers of its own; its first is its index times this. */
#define NUMBERS_EACH (RECORD_NUMBERS / PUBLISHERS_MOST)

/* The next records that a reader expects. */
struct order {
  struct tally *tally;
  uint32_t next_number[PUBLISHERS_MOST];
  uint64_t lost;       /* stated, but not yet seen to be missing */
  size_t record_bytes; /* the last record's size, most likely the next one's too */
  /* Called for each numbered event, if set */
  void (*arrived)(struct order *order, const char *record);
};

static inline uint32_t parse_digits(const char *digits) {
  uint32_t number = 0;
  for (int i = 0; i < RECORD_DIGITS; i++) number = number * 10 + (uint32_t)(digits[i] - '0');
  return number;
}

/* Checks that the numbers missing before `number` have been stated. */
static inline void check_number(struct order *order, uint32_t number) {
  order->tally->events++;
  uint32_t *next = &order->next_number[number / NUMBERS_EACH % PUBLISHERS_MOST];
  uint64_t missing = (number % NUMBERS_EACH + NUMBERS_EACH - *next) % NUMBERS_EACH;
  if (missing > order->lost) {
    order->tally->disorder++;
    missing = order->lost;
  }
  order->lost -= missing;
  *next = (number + 1) % NUMBERS_EACH;
}

/* Checks a record of any kind and size. */
static inline void check_record(struct order *order, const char *record, size_t bytes) {
  if (begins_with(record, bytes, OVERFLOW_HEAD)) {
    long long lost = find_value(record, bytes, "\nLOST=");
    if (lost <= 0) {
      order->tally->disorder++;
      return;
    }
    order->lost += (uint64_t)lost;
    order->tally->lost += (uint64_t)lost;
    return;
  }
  if (!begins_with(record, bytes, RECORD_FIRST_LINE)) return; /* another publisher's */
  check_number(order, (uint32_t)find_value(record, bytes, "\nN="));
  if (order->arrived) order->arrived(order, record);
  order->record_bytes = bytes;
}

/*
 * Returns true if the text begins with a numbered record of the expected size: two comparisons
 * instead of a search.
 */
static inline bool is_usual_record(const struct order *order, const char *text, size_t bytes) {
  size_t expected = order->record_bytes;
  return expected > 0 && bytes >= expected && text[expected - 1] == '\n' &&
         text[expected - 2] == '\n' && memcmp(text, RECORD_HEAD, RECORD_HEAD_BYTES) == 0;
}

/* Checks the whole records in `text`; returns the number of bytes left, which begin a record. */
static inline size_t check_records(struct order *order, const char *text, size_t bytes) {
  while (bytes > 0) {
    size_t record_bytes = order->record_bytes;
    if (is_usual_record(order, text, bytes)) {
      check_number(order, parse_digits(text + RECORD_HEAD_BYTES));
      if (order->arrived) order->arrived(order, text);
    } else {
      const char *end = memmem(text, bytes, "\n\n", 2);
      if (!end) break;
      record_bytes = (size_t)(end + 2 - text);
      check_record(order, text, record_bytes);
    }
    text += record_bytes;
    bytes -= record_bytes;
  }
  return bytes;
}

#endif
