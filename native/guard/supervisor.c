/* Passes the daemon's states on to systemd: sd_notify(3). Only the guardian is the main process. */
#include "guard.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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
