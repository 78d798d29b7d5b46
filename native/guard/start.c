/* Starts and ends daemons. */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_VARIABLES = 4096 };
/* The variable that names the daemon's end of the socket. */
#define VARIABLE "EVENTFS_GUARD="
/*
 * Variables that the daemon does not get: those for the guardian itself, through which its messages
 * go, and certificates, which Node would read at its start for up to 50 ms. A daemon has no TLS.
 */
static const char *const own[] = {VARIABLE,
                                  "NOTIFY_SOCKET=", "WATCHDOG_PID=", "NODE_EXTRA_CA_CERTS="};

static char *environment[MOST_VARIABLES + 2];
static char variable[sizeof VARIABLE + 16];

static bool is_own(const char *entry) {
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    if (strncmp(entry, own[i], strlen(own[i])) == 0) return true;
  }
  return false;
}

void copy_environment(char **from) {
  int count = 0;
  environment[count++] = variable;
  for (; *from != NULL && count <= MOST_VARIABLES; from++) {
    if (!is_own(*from)) environment[count++] = *from;
  }
  environment[count] = NULL;
}

/* Runs in the child. */
__attribute__((noreturn)) static void run(int socket) {
  sigset_t none;
  sigemptyset(&none);
  /* Else they would end the daemon before Node has its handlers (bin/eventfs). */
  signal(SIGUSR1, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  fcntl(socket, F_SETFD, 0);
  execve(options.command[0], options.command, environment);
  dprintf(STDERR_FILENO, "eventfs: mount: %s: %s (install eventfs again)\n", options.command[0],
          strerror(errno));
  _exit(EXIT_NOT_RUN);
}

bool start_daemon(struct daemon *daemon, const char *role, enum phase phase) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    say("warn", "socketpair: %s", strerror(errno));
    return false;
  }
  snprintf(variable, sizeof variable, VARIABLE "%d", pair[1]);
  pid_t pid = fork();
  if (pid < 0) say("warn", "fork: %s", strerror(errno));
  if (pid == 0) run(pair[1]);
  close(pair[1]);
  if (pid < 0) {
    close(pair[0]);
    return false;
  }
  *daemon = (struct daemon){.pid = pid, .socket = pair[0], .phase = phase, .handed = -1};
  daemon->deadline_ms = now_ms() + options.start_ms;
  send_format(daemon->socket, "HELLO %d %s", PROTOCOL, role);
  return true;
}

void close_socket(struct daemon *daemon) {
  if (daemon->socket >= 0) close(daemon->socket);
  daemon->socket = -1;
}

/* The death is reported later, by SIGCHLD. */
void kill_daemon(struct daemon *daemon) {
  if (daemon->phase == GONE) return;
  kill(daemon->pid, SIGKILL);
  daemon->deadline_ms = 0;
  daemon->ping_ms = 0;
}
