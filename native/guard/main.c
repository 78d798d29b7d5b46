/*
 * The command line and the loop:
 *
 *   eventfs-guard --mount DIR --socket FILE --lock FILE [options] -- NODE [ARGUMENT...]
 *   eventfs-guard --pass SOCKET
 *
 * `eventfs mount --guard` replaces itself by this program. The second form sends its standard
 * input through a socket: a holder such as s6-fdholder starts programs with a descriptor there.
 */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct options options = {
    .ready_fd = -1,
    .deaths = 10,
    .within_ms = 10000,
    .start_ms = 30000,
    .take_ms = 30000,
    .yield_ms = 5000,
    .stop_ms = 30000,
};

extern char **environ;

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Writes text as the inside of a JSON string. */
static void escape(char *to, size_t room, const char *text) {
  size_t at = 0;
  for (; *text != '\0' && at + 8 < room; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') to[at++] = '\\';
    if (c < 0x20) at += (size_t)snprintf(to + at, 7, "\\u%04x", c);
    else to[at++] = (char)c;
  }
  to[at] = '\0';
}

/* Writes to standard error, or drops the line: a reader that has stopped must not stop the mount.
 */
static void write_line(const char *line, int length) {
  struct pollfd error = {STDERR_FILENO, POLLOUT, 0};
  if (poll(&error, 1, 0) > 0 && (error.revents & POLLOUT)) {
    if (write(STDERR_FILENO, line, (size_t)length) < 0) return;
  }
}

void say(const char *level, const char *format, ...) {
  char text[2 * MESSAGE_BYTES], escaped[4 * MESSAGE_BYTES], line[PIPE_BUF];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (!options.json) {
    if (options.syslog && is_ready) write_syslog(level, text);
    else write_line(line, snprintf(line, sizeof line, "eventfs: mount: %s\n", text));
    return;
  }
  struct timespec now;
  struct tm parts;
  char time[32];
  clock_gettime(CLOCK_REALTIME, &now);
  strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &parts));
  escape(escaped, sizeof escaped, text);
  const char *form = "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"pid\":%d,\"msg\":\"%s\"}";
  int length =
      snprintf(line, sizeof line - 1, form, time, now.tv_nsec / 1000000, level, getpid(), escaped);
  if (options.syslog && is_ready) {
    write_syslog(level, line);
    return;
  }
  line[length++] = '\n';
  write_line(line, length);
}

static int usage(void) {
  fputs("eventfs-guard: eventfs mount starts this program (try eventfs mount --guard)\n", stderr);
  return EXIT_USAGE;
}

static bool parse_limit(const char *text) {
  char *end;
  options.deaths = (int)strtol(text, &end, 10);
  if (*end != ':') return false;
  options.within_ms = strtoull(end + 1, &end, 10) * 1000;
  return *end == '\0' && options.deaths > 0 && options.deaths <= MOST_DEATHS;
}

/* Returns false for a wrong command line. */
static bool parse(char **arguments) {
  for (; *arguments != NULL; arguments++) {
    const char *name = *arguments;
    if (strcmp(name, "--") == 0) {
      options.command = arguments + 1;
      break;
    }
    if (strcmp(name, "--standby") == 0) options.standby = true;
    else if (strcmp(name, "--json") == 0) options.json = true;
    else if (strcmp(name, "--syslog") == 0) options.syslog = true;
    else if (*++arguments == NULL) return false;
    else if (strcmp(name, "--mount") == 0) options.mount = *arguments;
    else if (strcmp(name, "--socket") == 0) options.socket = *arguments;
    else if (strcmp(name, "--lock") == 0) options.lock = *arguments;
    else if (strcmp(name, "--ready-fd") == 0) options.ready_fd = atoi(*arguments);
    else if (strcmp(name, "--deadline") == 0) {
      options.start_ms = strtoull(*arguments, NULL, 10) * 1000;
      options.take_ms = options.yield_ms = options.stop_ms = options.start_ms;
    } else if (strcmp(name, "--limit") != 0 || !parse_limit(*arguments)) {
      return false;
    }
  }
  return options.mount != NULL && options.socket != NULL && options.lock != NULL &&
         options.command != NULL && options.command[0] != NULL;
}

/* Each owner may cost a descriptor: kept.c. */
static void raise_file_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static int watch_signals(void) {
  static const int watched[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};
  sigset_t signals;
  sigemptyset(&signals);
  for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) sigaddset(&signals, watched[i]);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/*
 * Signals for a daemon that starts or yields: they would end the one, because Node has no handlers
 * yet, and the other may end instead of handling them.
 */
static bool is_late[NSIG];

/* Forwards the signals that came while no daemon served. */
static void forward_late(void) {
  if (active.phase != SERVING) return;
  for (int number = 1; number < NSIG; number++) {
    if (is_late[number]) kill(active.pid, number);
    is_late[number] = false;
  }
}

/* Limits the time in which the daemon ends. Without a connection it has no client to answer. */
static void limit_stop(void) {
  if (active.phase == GONE) return;
  bool is_over = connection_is_over();
  if (active.deadline_ms != 0 && !is_over) return;
  active.deadline_ms = now_ms() + (is_over ? OVER_MS : options.stop_ms);
}

/* Forwards a signal to the daemon that serves. */
static void forward(int number) {
  if (number == SIGTERM || number == SIGINT) {
    is_stopping = true;
    if (reload_is_under_way()) fail_next("the daemon stops");
  }
  if (number == SIGHUP) renew_standby();
  if (is_stopping) limit_stop();
  if (active.phase != SERVING && (number == SIGHUP || number == SIGUSR1)) is_late[number] = true;
  else if (active.phase != GONE) kill(active.pid, number);
  else if (is_stopping) end(0);
}

void stop(void) { forward(SIGTERM); }

static void on_signals(int fd) {
  struct signalfd_siginfo info;
  while (read(fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD) forward((int)info.ssi_signo);
  }
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) on_death(pid, status);
}

static void on_socket(struct daemon *daemon, int events) {
  if (events & POLLOUT) hand_more(daemon);
  char text[MESSAGE_BYTES];
  int length, fd, socket = daemon->socket;
  /* A message may move the daemon to another place. */
  if (!(events & (POLLIN | POLLHUP)) || socket < 0) return;
  length = receive_message(socket, text, &fd);
  if (length == 0) close_socket(daemon); /* a daemon ends its socket only when it ends */
  else if (length > 0) on_message(daemon, text, fd);
}

/* Returns the time until the next limit, in milliseconds; -1 for none. */
static int time_left(uint64_t due) {
  struct daemon *const all[] = {&active, &next, &leaving};
  uint64_t client = client_limit();
  if (client != 0 && (due == 0 || client < due)) due = client;
  for (int i = 0; i < 3; i++) {
    const uint64_t limits[] = {all[i]->deadline_ms, all[i]->ping_ms};
    for (int j = 0; j < 2; j++) {
      if (limits[j] != 0 && (due == 0 || limits[j] < due)) due = limits[j];
    }
  }
  if (due == 0) return -1;
  uint64_t now = now_ms();
  return due <= now ? 0 : (int)(due - now);
}

static void check_limits(void) {
  check_client();
  struct daemon *const all[] = {&active, &next, &leaving};
  uint64_t now = now_ms();
  for (int i = 0; i < 3; i++) {
    bool is_late = all[i]->deadline_ms != 0 && all[i]->deadline_ms <= now;
    bool is_silent = all[i]->ping_ms != 0 && all[i]->ping_ms <= now;
    if (is_late) on_deadline(all[i]);
    else if (is_silent) on_silence(all[i]);
  }
}

static short wanted(const struct daemon *daemon) {
  return daemon->handed >= 0 ? POLLIN | POLLOUT : POLLIN;
}

__attribute__((noreturn)) static void loop(int signals) {
  for (;;) {
    forward_late();
    uint64_t due = keep_active();
    if (due == 0) due = keep_standby();
    struct pollfd polled[] = {
        {signals, POLLIN, 0},
        {active.socket, wanted(&active), 0},
        {next.socket, wanted(&next), 0},
        {control_socket(), POLLIN, 0},
        {client_socket(), POLLIN, 0},
    };
    if (poll(polled, sizeof polled / sizeof *polled, time_left(due)) < 0) continue;
    /* One thing at a time: each may change the others. */
    if (polled[0].revents) on_signals(signals);
    else if (polled[1].revents) on_socket(&active, polled[1].revents);
    else if (polled[2].revents) on_socket(&next, polled[2].revents);
    else if (polled[3].revents) accept_client();
    else if (polled[4].revents) serve_client();
    check_limits();
  }
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--pass") == 0) {
    return send_message(atoi(argv[2]), "FD", STDIN_FILENO) ? 0 : EXIT_SYSTEM_CALL;
  }
  if (!parse(argv + 1)) return usage();
  if (options.ready_fd >= 0 && fcntl(options.ready_fd, F_GETFD) < 0) options.ready_fd = -1;
  int signals = watch_signals();
  if (signals < 0) {
    say("error", "signalfd: %s", strerror(errno));
    return EXIT_SYSTEM_CALL;
  }
  raise_file_limit();
  open_control();
  find_supervisor();
  copy_environment(environ);
  start_first();
  loop(signals);
}
