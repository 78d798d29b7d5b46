/* The messages of a daemon, and what each of them changes. */
#include "guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_hello(struct daemon *daemon, const char *protocol) {
  daemon->has_greeted = true;
  if (atoi(protocol) == PROTOCOL) return;
  char why[MESSAGE_BYTES];
  snprintf(why, sizeof why,
           "the daemon has protocol %.20s, the guardian %d (start the guardian again: eventfs "
           "umount, eventfs mount --guard)",
           protocol, PROTOCOL);
  if (daemon == &next) fail_next(why);
  else give_up("%s", why);
}

static void on_ready(struct daemon *daemon) {
  if (daemon->phase != TAKING) return;
  if (daemon == &next) {
    if (active.phase == YIELDED) replace_active();
    return;
  }
  daemon->phase = SERVING;
  daemon->deadline_ms = 0;
  if (!is_ready && options.ready_fd >= 0) close(options.ready_fd); /* the daemon has written */
  if (!is_ready) note_mount();
  is_ready = true;
  ping_for(daemon);
  clear_failed_starts();
  schedule_standby();
}

static void on_warm(struct daemon *daemon) {
  if (daemon->phase != STARTING) return; /* a crash has made it take over meanwhile */
  daemon->phase = WARM;
  daemon->deadline_ms = 0;
  clear_failed_standbys();
  if (reload_is_under_way()) yield_active();
  else tell_standby(true);
}

static void on_yielded(struct daemon *daemon, const char *number) {
  if (daemon->phase != YIELDING || !is_present_yield(number)) return;
  daemon->phase = YIELDED;
  daemon->deadline_ms = 0;
  ping_for(daemon);
  hand(&next, false);
}

static void on_nack(struct daemon *daemon, const char *why) {
  if (daemon == &next) {
    if (!reload_is_under_way()) say("warn", "no standby can start: %s", why);
    fail_next(why);
  } else {
    note_refusal(why); /* the daemon has logged it */
  }
}

static void on_notify(struct daemon *daemon, const char *state) {
  if (daemon != &active) return;
  if (strcmp(state, "WATCHDOG=1") == 0 && watchdog_ms() > 0) {
    daemon->ping_ms = now_ms() + watchdog_ms();
  }
  notify_supervisor(state);
}

void on_message(struct daemon *daemon, const char *text, int fd) {
  const char *argument;
  if (daemon->phase == LEAVING) {
    if (fd >= 0) close(fd);
    return;
  }
  if ((argument = argument_of(text, "KEEP")) != NULL && fd >= 0) {
    if (!keep(argument, fd)) send_format(daemon->socket, "REFUSED %s", argument);
    return;
  }
  if (fd >= 0) close(fd);
  if ((argument = argument_of(text, "DROP")) != NULL) drop(argument);
  else if ((argument = argument_of(text, "HELLO")) != NULL) on_hello(daemon, argument);
  else if (argument_of(text, "READY") != NULL) on_ready(daemon);
  else if (argument_of(text, "WARM") != NULL) on_warm(daemon);
  else if ((argument = argument_of(text, "YIELDED")) != NULL) on_yielded(daemon, argument);
  else if ((argument = argument_of(text, "NACK")) != NULL) on_nack(daemon, argument);
  else if ((argument = argument_of(text, "NOTIFY")) != NULL) on_notify(daemon, argument);
  else send_format(daemon->socket, "UNKNOWN %.100s", text);
}
