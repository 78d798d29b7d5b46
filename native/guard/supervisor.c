/*
 * Messages to the supervisor. The daemon's states go to systemd by sd_notify(3): only the guardian
 * is the main process. The guardian's own messages go to /dev/log, as syslog(3) sends them, once
 * standard error has no reader any more.
 */
#include "guard.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_length;
static uint64_t ping_limit_ms;

void find_supervisor(void) {
  const char *path = getenv("NOTIFY_SOCKET");
  if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof address.sun_path) return;
  memcpy(address.sun_path, path, strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';
  address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
  const char *watchdog_us = getenv("WATCHDOG_USEC");
  /* The guardian kills a daemon that hangs before systemd would kill both. */
  if (watchdog_us != NULL) ping_limit_ms = strtoull(watchdog_us, NULL, 10) / 1000 * 3 / 4;
}

void notify_supervisor(const char *state) {
  if (address_length == 0) return;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
         address_length);
  close(fd);
}

uint64_t watchdog_ms(void) { return ping_limit_ms; }

/* LOG_DAEMON, LOG_ERR and LOG_WARNING of syslog(3). */
enum { FACILITY = 3 * 8, ERR = 3, WARNING = 4 };
/* RFC 3164, 4.1.2: English in every locale. */
static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void write_syslog(const char *level, const char *line) {
  static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
  char text[4 * MESSAGE_BYTES + 512];
  int priority = FACILITY + (strcmp(level, "error") == 0 ? ERR : WARNING);
  time_t now = time(NULL);
  struct tm parts;
  localtime_r(&now, &parts);
  int length = snprintf(text, sizeof text, "<%d>%s %2d %02d:%02d:%02d eventfs[%d]: %s", priority,
                        months[parts.tm_mon], parts.tm_mday, parts.tm_hour, parts.tm_min,
                        parts.tm_sec, getpid(), line);
  if (length >= (int)sizeof text) length = sizeof text - 1;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  sendto(fd, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address,
         sizeof address);
  close(fd);
}
