/*
 * Which daemon serves, and which one is next.
 *
 * A daemon dies: RESEND, then the standby or a new daemon takes the descriptors.
 * A reload: a new daemon warms up, the old one yields between two requests, the new one restores
 * the tree and is READY; then RESEND, SERVE, and the old one ends. On every failure before READY
 * the old one resumes.
 */
#include "guard.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct daemon active = {.socket = -1}, next = {.socket = -1}, leaving = {.socket = -1};
bool is_ready, is_stopping;
int restarts, reloads;

/* Whether `next` shall replace an active daemon that lives. */
static bool is_reloading;
static uint64_t standby_due_ms;
/* How many daemons in a row have ended before they served. */
static int failed_starts;
/* The times of the last deaths, as a ring. */
static uint64_t deaths_ms[MOST_DEATHS];
static int death_count;
/* How the last daemon ended, and why it could not take over. */
static char ending[128], refusal[MESSAGE_BYTES];
/* When to try again to start a daemon; 0: one runs. */
static uint64_t retry_ms;

static void forget(struct daemon *daemon) {
  close_socket(daemon);
  *daemon = (struct daemon){.socket = -1, .handed = -1};
}

/* Whether there were too many deaths in a short time. Notes this one. */
static bool is_one_too_many(void) {
  uint64_t now = now_ms();
  deaths_ms[death_count++ % options.deaths] = now;
  if (death_count < options.deaths) return false;
  return now - deaths_ms[death_count % options.deaths] <= options.within_ms;
}

static void tell_standby(bool is_warm) {
  if (active.phase == SERVING) send_format(active.socket, "STANDBY %d", is_warm);
}

/* ---- descriptors for a daemon */

static void hand(struct daemon *daemon, bool serves_at_once) {
  daemon->phase = TAKING;
  daemon->deadline_ms = now_ms() + options.start_ms + options.take_ms;
  daemon->handed = 0;
  daemon->serves_at_once = serves_at_once;
  hand_more(daemon);
}

/* The daemon logs how the last one ended. */
static bool send_serve(struct daemon *daemon) {
  return send_format(daemon->socket, "SERVE %d %d %s", restarts, reloads,
                     daemon->serves_at_once ? ending : "");
}

void hand_more(struct daemon *daemon) {
  while (daemon->handed >= 0) {
    int at = daemon->handed;
    bool is_sent;
    if (at < kept_count) {
      char text[NAME_BYTES + 8];
      snprintf(text, sizeof text, "FD %s", kept[at].name);
      is_sent = send_message(daemon->socket, text, kept[at].fd);
    } else if (at == kept_count) {
      is_sent = send_message(daemon->socket, "TAKE", -1);
    } else {
      is_sent = send_serve(daemon);
    }
    if (!is_sent) return; /* again when there is room */
    bool is_last = at == kept_count + (daemon->serves_at_once ? 1 : 0);
    daemon->handed = is_last ? -1 : at + 1;
  }
}

/* Pings in place of a daemon, whose first ping is a while away. */
static void ping_for(struct daemon *daemon) {
  if (watchdog_ms() == 0) return;
  notify_supervisor("WATCHDOG=1");
  if (daemon->phase == SERVING) daemon->ping_ms = now_ms() + watchdog_ms();
}

/* ---- a reload */

static void resume_active(void) {
  if (active.phase != YIELDING && active.phase != YIELDED) return;
  active.phase = SERVING;
  active.deadline_ms = 0;
  send_message(active.socket, "RESUME", -1);
}

/* The old daemon goes on. */
static void fail_reload(const char *why) {
  if (!is_reloading) return;
  is_reloading = false;
  resume_active();
  if (active.phase == SERVING) send_format(active.socket, "FAILED %s", why);
  answer_client("FAILED %s", why);
}

static void fail_next(const char *why) {
  kill_daemon(&next);
  next.phase = LEAVING;
  fail_reload(why);
  standby_due_ms = now_ms() + STANDBY_DELAY_MS;
}

/* Starts the next daemon. It maps the state, and tries to restore it, while there is time. */
static bool start_next(void) {
  if (!start_daemon(&next, "next", STARTING)) return false;
  int state = find_kept("state");
  if (state >= 0) send_message(next.socket, "FD state", state);
  return true;
}

const char *begin_reload(void) {
  if (active.phase != SERVING) return "the daemon starts right now: try again";
  if (is_reloading) return "another reload is under way";
  if (leaving.phase != GONE) return "the last reload is not over: try again";
  if (next.phase != GONE) { /* a standby may be of the old version */
    kill_daemon(&next);
    leaving = next;
    leaving.phase = LEAVING;
    next = (struct daemon){.socket = -1, .handed = -1};
  }
  if (!start_next()) return "the new daemon could not be started";
  is_reloading = true;
  return NULL;
}

static void yield_active(void) {
  active.phase = YIELDING;
  active.deadline_ms = now_ms() + options.yield_ms;
  send_message(active.socket, "YIELD", -1);
}

/* The next daemon has restored the tree: it serves from now on. */
static void replace_active(void) {
  resend_requests();
  reloads++;
  send_serve(&next);
  send_message(active.socket, "QUIT", -1);
  leaving = active;
  leaving.phase = LEAVING;
  leaving.deadline_ms = now_ms() + options.yield_ms;
  active = next;
  next = (struct daemon){.socket = -1, .handed = -1};
  active.phase = SERVING;
  active.deadline_ms = 0;
  ping_for(&active);
  is_reloading = false;
  standby_due_ms = now_ms() + STANDBY_DELAY_MS;
  answer_client("RELOADED %d", active.pid);
}

/* ---- messages */

static void on_hello(struct daemon *daemon, const char *protocol) {
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
  is_ready = true;
  ping_for(daemon);
  failed_starts = 0;
  standby_due_ms = now_ms() + STANDBY_DELAY_MS;
}

static void on_warm(struct daemon *daemon) {
  if (daemon->phase != STARTING) return; /* a crash has made it take over meanwhile */
  daemon->phase = WARM;
  daemon->deadline_ms = 0;
  if (is_reloading) yield_active();
  else tell_standby(true);
}

static void on_yielded(struct daemon *daemon) {
  if (daemon->phase != YIELDING) return;
  daemon->phase = YIELDED;
  daemon->deadline_ms = 0;
  hand(&next, false);
}

static void on_nack(struct daemon *daemon, const char *why) {
  if (daemon == &next) fail_next(why);
  else snprintf(refusal, sizeof refusal, "%s", why); /* the daemon has logged it */
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
  else if (argument_of(text, "YIELDED") != NULL) on_yielded(daemon);
  else if ((argument = argument_of(text, "NACK")) != NULL) on_nack(daemon, argument);
  else if ((argument = argument_of(text, "NOTIFY")) != NULL) on_notify(daemon, argument);
  else send_format(daemon->socket, "UNKNOWN %.100s", text);
}

/* A daemon ends its socket only when it ends. */
void on_end_of_socket(struct daemon *daemon) { close_socket(daemon); }

/* ---- deaths */

/* Puts how a process ended into `text`, as in `was killed by signal 9 (Killed)`. */
static void describe(int status, char *text, size_t room) {
  if (WIFSIGNALED(status)) {
    int number = WTERMSIG(status);
    snprintf(text, room, "was killed by signal %d (%s)", number, strsignal(number));
  } else {
    snprintf(text, room, "ended with exit code %d", WEXITSTATUS(status));
  }
}

static int exit_code(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  int number = WTERMSIG(status);
  /* Before Node has its handlers, the forwarded signal ends the daemon. */
  if (is_stopping && (number == SIGTERM || number == SIGINT)) return 0;
  return 128 + number;
}

void start_first(void) {
  if (!start_daemon(&active, "first", STARTING)) end(EXIT_SYSTEM_CALL);
  hand(&active, true);
  active.deadline_ms = 0; /* the user sees what it waits for */
}

/* The active daemon has died. */
static void replace_dead(void) {
  resend_requests();
  refusal[0] = '\0';
  ping_for(&active);
  restarts++;
  if (next.phase != GONE && next.phase != LEAVING) {
    active = next;
    next = (struct daemon){.socket = -1, .handed = -1};
    if (active.phase == TAKING) {
      active.serves_at_once = true;
      if (active.handed < 0) send_serve(&active);
    } else {
      hand(&active, true);
    }
    if (is_reloading) answer_client("RELOADED %d", active.pid);
    is_reloading = false;
    return;
  }
  fail_reload("the old daemon has died meanwhile");
  retry_ms = now_ms();
  keep_active();
}

uint64_t keep_active(void) {
  if (retry_ms == 0 || retry_ms > now_ms()) return retry_ms;
  if (start_daemon(&active, "restart", STARTING)) {
    retry_ms = 0;
    hand(&active, true);
  } else {
    retry_ms = now_ms() + RETRY_MS; /* no memory or no room for a process: clients wait */
  }
  return retry_ms;
}

static void on_active_death(int status) {
  bool has_served = is_ready, had_served = active.phase >= SERVING;
  describe(status, ending, sizeof ending);
  forget(&active);
  if (has_served && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    kill_daemon(&next);
    answer_client("FAILED the daemon has unmounted");
    leave(0);
  }
  if (!has_served || is_stopping) end(exit_code(status));
  /* On a slow machine such daemons end too seldom for the limit */
  if (!had_served && ++failed_starts >= options.deaths) {
    give_up("%d daemons in a row have ended before they served, the last one %s", failed_starts,
            ending);
  }
  if (is_one_too_many()) {
    give_up("%d daemons have ended in %llu s, the last one %s%s%s", options.deaths,
            (unsigned long long)options.within_ms / 1000, ending, refusal[0] ? ": " : "", refusal);
  }
  replace_dead();
}

static void on_next_death(int status) {
  bool is_known = next.phase == LEAVING; /* fail_next() has said why */
  char end[sizeof ending], why[MESSAGE_BYTES];
  describe(status, end, sizeof end);
  snprintf(why, sizeof why, "the new daemon %s", end);
  forget(&next);
  if (!is_known) {
    tell_standby(false);
    fail_reload(why);
  }
  standby_due_ms = now_ms() + STANDBY_DELAY_MS;
}

void on_death(pid_t pid, int status) {
  if (pid == active.pid) {
    /* Its last messages may hold descriptors. */
    char text[MESSAGE_BYTES];
    int fd;
    while (active.socket >= 0 && receive_message(active.socket, text, &fd) > 0) {
      on_message(&active, text, fd);
    }
    on_active_death(status);
  } else if (pid == next.pid) {
    on_next_death(status);
  } else if (pid == leaving.pid) {
    forget(&leaving);
  }
}

/* ---- time limits */

void on_deadline(struct daemon *daemon) {
  daemon->deadline_ms = 0;
  daemon->ping_ms = 0;
  if (daemon == &next) {
    fail_next(daemon->phase == STARTING ? "the new daemon did not start in time"
                                        : "the new daemon did not restore the tree in time");
  } else if (daemon->phase == YIELDING) {
    fail_next("the old daemon did not stop between two requests in time");
  } else {
    kill_daemon(daemon); /* it hangs, and its death starts the next one */
  }
}

uint64_t keep_standby(void) {
  if (!options.standby || is_stopping || next.phase != GONE || active.phase != SERVING) return 0;
  if (standby_due_ms > now_ms()) return standby_due_ms;
  if (start_next()) return 0;
  return standby_due_ms = now_ms() + STANDBY_DELAY_MS;
}

void renew_standby(void) {
  if (next.phase == GONE || is_reloading) return;
  tell_standby(false);
  kill_daemon(&next);
  next.phase = LEAVING;
}
