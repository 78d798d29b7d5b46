/* One guardian for a mount, by a lock; and the socket of `eventfs reload` and `eventfs umount`. */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int listener = -1;
static int client = -1;
static bool is_reloading;
/* When a client must have asked; 0: no client, or it has. */
static uint64_t ask_by_ms;

__attribute__((noreturn)) static void refuse(const char *path, const char *hint) {
  say("error", "%s: %s (%s)", path, strerror(errno), hint);
  _exit(EXIT_SYSTEM_CALL);
}

/* Returns whether the lock is still the file of that name: a guardian that ends removes its own. */
static bool is_current(int fd) {
  struct stat locked, named;
  return fstat(fd, &locked) == 0 && lstat(options.lock, &named) == 0 &&
         locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

/* The lock ends with the process. */
static void lock(void) {
  for (;;) {
    int fd = open(options.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) refuse(options.lock, "the guardian needs a directory for its lock");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) break;
    if (is_current(fd)) return;
    close(fd);
  }
  if (errno != EWOULDBLOCK) refuse(options.lock, "the lock must be a file");
  say("error", "%s: another guardian serves it (try eventfs umount %s first)", options.mount,
      options.mount);
  _exit(EXIT_FAILURE);
}

void open_control(void) {
  lock();
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", options.socket);
  unlink(options.socket); /* a killed guardian has left it */
  listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  mode_t mask = umask(0177);
  int failed = bind(listener, (struct sockaddr *)&address, sizeof address);
  umask(mask);
  if (failed != 0 || listen(listener, 4) != 0) {
    refuse(options.socket, "the guardian needs a directory for its socket");
  }
}

int control_socket(void) { return client < 0 ? listener : -1; }
int client_socket(void) { return client; }

static void close_client(void) {
  if (client >= 0) close(client);
  client = -1;
  is_reloading = false;
  ask_by_ms = 0;
}

/* Returns whether the client may ask: root, and the guardian's own user. */
static bool is_allowed(int fd) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

void accept_client(void) {
  client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  ask_by_ms = now_ms() + ASK_MS;
  if (!is_allowed(client)) close_client();
}

uint64_t client_limit(void) { return ask_by_ms; }

void check_client(void) {
  if (ask_by_ms != 0 && ask_by_ms <= now_ms()) close_client();
}

/* Returns whether the client has ended: it no longer waits for an answer. */
static bool has_ended(int fd) {
  struct pollfd peer = {fd, 0, 0};
  return poll(&peer, 1, 0) > 0 && (peer.revents & POLLHUP);
}

void serve_client(void) {
  char text[MESSAGE_BYTES];
  int fd, length = receive_message(client, text, &fd);
  if (fd >= 0) close(fd);
  if (length < 0) return;
  if (length == 0) { /* a client that ends does not end its reload */
    close_client();
    return;
  }
  if (strcmp(text, "END") == 0) {
    ask_by_ms = 0;
    stop(); /* the client sees the end of the socket */
    return;
  }
  if (is_reloading) return;
  if (argument_of(text, "RELOAD") == NULL) {
    answer_client("FAILED the guardian has protocol %d, and does not know: %.100s", PROTOCOL, text);
    return;
  }
  if (has_ended(client)) { /* while this process was stopped: its user has given up */
    close_client();
    return;
  }
  is_reloading = true;
  ask_by_ms = 0;
  const char *why = begin_reload();
  if (why != NULL) answer_client("FAILED %s", why);
}

void answer_client(const char *format, ...) {
  if (client < 0) return;
  char text[MESSAGE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  send_message(client, text, -1);
  close_client();
}

void close_control(void) {
  if (listener < 0) return;
  unlink(options.socket);
  unlink(options.lock);
}
