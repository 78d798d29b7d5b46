/*
 * Sleeps in state D again and again: `in-state-d COUNT MS` waits COUNT times in vfork(2) for a
 * child that lives MS milliseconds.
 */
#include "common.h"

/* Returns once the child has ended. */
static void wait_for_child(const struct timespec *life) {
  if (vfork() != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  nanosleep(life, NULL);
  _exit(0);
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  long ms = atol(arguments[2]);
  struct timespec life = {ms / 1000, ms % 1000 * 1000000};
  for (long left = atol(arguments[1]); left > 0; left--) {
    wait_for_child(&life);
    wait(NULL);
  }
  return 0;
}
