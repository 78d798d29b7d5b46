/* The death of a daemon: another one takes over, or the mount ends. */
#include "guard.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* How many daemons in a row have ended before they served. */
static int failed_starts;
/* The times of the last deaths, as a ring. */
static uint64_t deaths_ms[MOST_DEATHS];
static int death_count;
/* How the last daemon ended, and why it could not take over. */
static char ending[128], refusal[MESSAGE_BYTES];
/* When to try again to start a daemon; 0: one runs. */
static uint64_t retry_ms;

void clear_failed_starts(void) { failed_starts = 0; }

const char *last_ending(void) { return ending; }

void note_refusal(const char *why) { snprintf(refusal, sizeof refusal, "%s", why); }

static void forget(struct daemon *daemon) {
  close_socket(daemon);
  *daemon = (struct daemon)NO_DAEMON;
}

/* Returns whether there were too many deaths in a short time. Notes this one. */
static bool is_one_too_many(void) {
  uint64_t now = now_ms();
  deaths_ms[death_count++ % options.deaths] = now;
  if (death_count < options.deaths) return false;
  return now - deaths_ms[death_count % options.deaths] <= options.within_ms;
}

/* Writes into `text` how a process ended, as in `was killed by signal 9 (Killed)`. */
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

/*
 * The active daemon has died.
 * `pause_ms` is how long to wait before a process is started.
 */
static void replace_dead(uint64_t pause_ms) {
  resend_requests();
  refusal[0] = '\0';
  ping_for(&active);
  restarts++;
  /* A standby that is not warm may wait for a path into the mount, or into one that hangs. */
  if (next.phase == STARTING && !reload_is_under_way()) discard_next();
  if (next.phase != GONE && next.phase != LEAVING) {
    active = next;
    next = (struct daemon)NO_DAEMON;
    if (active.phase == TAKING) {
      active.serves_at_once = true;
      if (active.handed < 0) {
        active.handed = serve_after_take(); /* once there is room */
        hand_more(&active);
      }
    } else {
      hand(&active, true);
    }
    finish_reload();
    return;
  }
  fail_reload("the old daemon has died meanwhile");
  retry_ms = now_ms() + pause_ms;
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
  bool has_greeted = active.has_greeted;
  describe(status, ending, sizeof ending);
  forget(&active);
  if (has_served && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    kill_daemon(&next);
    answer_client("FAILED the daemon has unmounted");
    leave(0);
  }
  /* Without the device it has unmounted, or begun to: another daemon would mount anew */
  if (!has_served || is_stopping || find_kept("fuse") < 0) end(exit_code(status));
  /* On a slow machine such daemons end too seldom for the limit */
  if (!had_served && ++failed_starts >= options.deaths) {
    give_up("%d daemons in a row have ended before they served, the last one %s", failed_starts,
            ending);
  }
  if (is_one_too_many()) {
    give_up("%d daemons have ended in %llu s, the last one %s%s%s", options.deaths,
            (unsigned long long)options.within_ms / 1000, ending, refusal[0] ? ": " : "", refusal);
  }
  replace_dead(has_greeted || failed_starts < UNPAUSED_STARTS ? 0 : RETRY_MS);
}

/* Reads why a daemon could not take over, if it has sent that before it ended. */
static bool read_refusal(int socket, char why[MESSAGE_BYTES]) {
  bool is_refused = false;
  char text[MESSAGE_BYTES];
  int fd;
  while (socket >= 0 && receive_message(socket, text, &fd) > 0) {
    if (fd >= 0) close(fd);
    const char *reason = argument_of(text, "NACK");
    if (reason == NULL) continue;
    is_refused = true;
    snprintf(why, MESSAGE_BYTES, "%s", reason);
  }
  return is_refused;
}

static void on_next_death(int status) {
  bool is_known = next.phase == LEAVING; /* fail_next() has said why */
  char end[sizeof ending], why[MESSAGE_BYTES];
  describe(status, end, sizeof end);
  snprintf(why, sizeof why, "the new daemon %s", end);
  bool is_refused = read_refusal(next.socket, why);
  forget(&next);
  if (!is_known) {
    if (is_refused && !reload_is_under_way()) say("warn", "no standby can start: %s", why);
    tell_standby(false);
    fail_reload(why);
  }
  delay_standby();
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
