/* The standby: a daemon that is warm before it is needed. */
#include "guard.h"

static uint64_t due_ms;
/* How many standbys in a row have ended before they were warm. */
static int failed;

void schedule_standby(void) { due_ms = now_ms() + STANDBY_DELAY_MS; }

void delay_standby(void) {
  due_ms = now_ms() + ((uint64_t)STANDBY_DELAY_MS << failed);
  if (failed < MOST_DOUBLED) failed++;
}

void clear_failed_standbys(void) { failed = 0; }

void tell_standby(bool is_warm) {
  if (active.phase == SERVING) send_format(active.socket, "STANDBY %d", is_warm);
}

bool start_next(void) {
  if (!start_daemon(&next, "next", STARTING)) return false;
  int state = find_kept("state");
  if (state >= 0) send_message(next.socket, "FD state", state);
  return true;
}

uint64_t keep_standby(void) {
  if (!options.standby || is_stopping || next.phase != GONE || active.phase != SERVING) return 0;
  if (due_ms > now_ms()) return due_ms;
  if (start_next()) return 0;
  return due_ms = now_ms() + STANDBY_DELAY_MS;
}

void renew_standby(void) {
  failed = 0; /* its reason may be gone */
  if (due_ms > now_ms() + STANDBY_DELAY_MS) schedule_standby();
  if (next.phase == GONE || reload_is_under_way()) return;
  tell_standby(false);
  discard_next();
}
