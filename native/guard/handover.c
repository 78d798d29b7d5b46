/*
 * Which daemon serves, and the descriptors for the next one.
 *
 * A daemon dies: RESEND, then the standby or a new daemon takes the descriptors (death.c).
 * A reload: a new daemon warms up, the old one yields between two requests, the new one restores
 * the tree and is READY; then RESEND, SERVE, and the old one ends (reload.c). On every failure
 * before READY the old one resumes.
 */
#include "guard.h"

#include <stdio.h>

struct daemon active = NO_DAEMON, next = NO_DAEMON, leaving = NO_DAEMON;
bool is_ready, is_stopping;
int restarts, reloads;

void hand(struct daemon *daemon, bool serves_at_once) {
  daemon->phase = TAKING;
  daemon->deadline_ms = now_ms() + options.start_ms + options.take_ms;
  daemon->handed = 0;
  daemon->has_descriptors = true;
  daemon->serves_at_once = serves_at_once;
  hand_more(daemon);
}

bool send_serve(struct daemon *daemon) {
  return send_format(daemon->socket, "SERVE %d %d %s", restarts, reloads,
                     daemon->serves_at_once ? last_ending() : "");
}

int serve_after_take(void) { return kept_count + 2; }

void hand_more(struct daemon *daemon) {
  while (daemon->handed >= 0) {
    int at = daemon->handed;
    bool is_sent;
    if (at < kept_count) {
      char text[NAME_BYTES + 8];
      snprintf(text, sizeof text, "FD %s", kept[at].name);
      is_sent = send_message(daemon->socket, text, kept[at].fd);
    } else if (at == serve_after_take() || (at == kept_count && daemon->serves_at_once)) {
      is_sent = send_serve(daemon);
    } else {
      is_sent = send_message(daemon->socket, "TAKE", -1);
    }
    if (!is_sent) return; /* again when there is room */
    /* After TAKE the daemon looks whether it follows a death: so SERVE comes first */
    bool is_last = at >= kept_count + (daemon->serves_at_once ? 1 : 0);
    daemon->handed = is_last ? -1 : at + 1;
  }
}

void ping_for(struct daemon *daemon) {
  if (watchdog_ms() == 0) return;
  notify_supervisor("WATCHDOG=1");
  bool has_served = daemon->phase == SERVING || daemon->phase == YIELDED;
  if (has_served) daemon->ping_ms = now_ms() + watchdog_ms();
}

void on_silence(struct daemon *daemon) {
  daemon->ping_ms = 0;
  /* A daemon that has yielded waits for an answer; the next one has a time limit */
  if (daemon->phase == YIELDED) ping_for(daemon);
  else on_deadline(daemon);
}

void on_deadline(struct daemon *daemon) {
  daemon->deadline_ms = 0;
  daemon->ping_ms = 0;
  if (daemon == &next) {
    fail_next(daemon->phase == STARTING ? "the new daemon did not start in time"
                                        : "the new daemon did not restore the tree in time");
  } else if (daemon->phase == YIELDING) {
    fail_next("the old daemon did not stop between two requests in time");
  } else {
    kill_daemon(daemon); /* it hangs; its death starts the next one, or ends the mount */
  }
}
