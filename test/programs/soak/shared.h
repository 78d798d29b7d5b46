/* Shared by the processes of the soak: their limits, their end by SIGTERM, their rate. */
#ifndef PROGRAMS_SOAK_SHARED_H
#define PROGRAMS_SOAK_SHARED_H

#include "common.h"
#include <stdatomic.h>

enum {
  MOST_PUBLISHERS = 16,
  MOST_NUMBERS = 1 << 27,
  MOST_OPERATORS = 256,
  HELD = 8,
  MOST_THREADS = 16,
  RECORD_BYTES = 128 * 1024
};

static atomic_bool finishing;

static void on_term(int signal_number) {
  (void)signal_number;
  finishing = true;
}

static void until_term(void) {
  /* No SA_RESTART: it interrupts a blocked read */
  struct sigaction action = {.sa_handler = on_term};
  sigaction(SIGTERM, &action, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Sleeps so that the number of operations `done` grows by `rate` a second, counted from `start`. */
static void keep_pace(uint64_t start, uint64_t done, uint64_t rate) {
  uint64_t due = start + done * NS_PER_S / rate, now = now_ns();
  if (due > now + NS_PER_MS) usleep((useconds_t)((due - now) / 1000));
}

#endif
