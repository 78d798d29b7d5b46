/*
 * Listens on the address of NOTIFY_SOCKET (sd_notify(3)): `notify ADDRESS`, a path, or an abstract
 * name that begins with `@`. Prints `bound`, then each datagram as a line, for 20 s at most.
 */
#include "common.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LIMIT_S 20

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) die("usage: notify ADDRESS");
  limit_time(LIMIT_S);
  memcpy(address.sun_path, argv[1], strlen(argv[1]));
  if (argv[1][0] == '@') address.sun_path[0] = '\0';
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(argv[1]));
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0) die("%s: %m", argv[1]);
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  puts("bound");
  for (;;) {
    char message[4096];
    ssize_t got = recv(fd, message, sizeof message, 0);
    if (got < 0) die("recv: %m");
    printf("%.*s\n", (int)got, message);
  }
}
