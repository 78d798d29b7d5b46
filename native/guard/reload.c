/*
 * A reload: a new daemon takes over from one that lives. On every failure before it is READY the
 * old one resumes.
 */
#include "guard.h"

#include <stddef.h>
#include <stdlib.h>

/* Whether `next` shall replace an active daemon that lives. */
static bool is_under_way;

bool reload_is_under_way(void) { return is_under_way; }

void finish_reload(void) {
  if (is_under_way) answer_client("RELOADED %d", active.pid);
  is_under_way = false;
}

static void resume_active(void) {
  if (active.phase != YIELDING && active.phase != YIELDED) return;
  active.phase = SERVING;
  active.deadline_ms = 0;
  send_message(active.socket, "RESUME", -1);
  ping_for(&active);
}

void fail_reload(const char *why) {
  if (!is_under_way) return;
  is_under_way = false;
  resume_active();
  if (active.phase == SERVING) send_format(active.socket, "FAILED %s", why);
  answer_client("FAILED %s", why);
}

void discard_next(void) {
  kill_daemon(&next);
  next.phase = LEAVING;
}

void fail_next(const char *why) {
  discard_next();
  fail_reload(why);
}

const char *begin_reload(void) {
  if (active.phase != SERVING) return "the daemon starts right now: try again";
  if (is_stopping) return "the daemon stops";
  if (is_under_way) return "another reload is under way";
  if (leaving.phase != GONE) return "the last reload is not over: try again";
  if (next.phase != GONE) { /* a standby may be of the old version */
    kill_daemon(&next);
    leaving = next;
    leaving.phase = LEAVING;
    next = (struct daemon)NO_DAEMON;
  }
  if (!start_next()) return "the new daemon could not be started";
  is_under_way = true;
  return NULL;
}

/*
 * A daemon that was stopped in an earlier reload may answer the YIELD of that one now, and resume
 * after it.
 */
static int yields;

void yield_active(void) {
  active.phase = YIELDING;
  active.deadline_ms = now_ms() + options.yield_ms;
  send_format(active.socket, "YIELD %d", ++yields);
}

bool is_present_yield(const char *number) { return *number == '\0' || atoi(number) == yields; }

void replace_active(void) {
  resend_requests();
  reloads++;
  send_serve(&next);
  send_message(active.socket, "QUIT", -1);
  leaving = active;
  leaving.phase = LEAVING;
  leaving.deadline_ms = now_ms() + options.yield_ms;
  active = next;
  next = (struct daemon)NO_DAEMON;
  active.phase = SERVING;
  active.deadline_ms = 0;
  ping_for(&active);
  finish_reload();
  schedule_standby();
}
