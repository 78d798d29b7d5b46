/*
 * consume [FILTER]: print the first line of each event. cc -o consume consume.c
 *
 * poll(2) is here for programs that wait for other descriptors too; a read(2) that blocks does as
 * well.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what) {
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  const char *events = getenv("EVENTS") != NULL ? getenv("EVENTS") : "/dev/events";
  char path[4096];

  /* Without a mount, mkdir(2) would make a directory that stays. */
  snprintf(path, sizeof path, "%s/publish", events);
  if (access(path, F_OK) < 0) {
    fprintf(stderr, "%s: eventfs is not mounted on %s\n", argv[0], events);
    return 1;
  }

  /* Named by our PID, and gone when we are: there is no handler that must remove it. */
  int length = snprintf(path, sizeof path, "%s/%d", events, (int)getpid());
  if (mkdir(path, 0700) < 0) die(path);

  if (argc > 1) {
    strcpy(path + length, "/.filter");
    int filter = open(path, O_WRONLY | O_CLOEXEC);
    /* One write(2): EINVAL is a filter that is none. */
    if (filter < 0 || write(filter, argv[1], strlen(argv[1])) < 0) die(path);
    close(filter);
  }

  strcpy(path + length, "/.stream");
  struct pollfd stream = {.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), .events = POLLIN};
  if (stream.fd < 0) die(path);

  static char text[1 << 20]; /* larger than any event: a read hands over whole ones */
  for (;;) {
    if (poll(&stream, 1, -1) < 0 && errno != EINTR) die("poll");
    ssize_t got = read(stream.fd, text, sizeof text - 1);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return got < 0; /* 0: the daemon has ended */
    text[got] = '\0';
    for (char *event = text; *event != '\0';) {
      char *end = strstr(event, "\n\n");
      printf("%.*s\n", (int)strcspn(event, "\n"), event);
      event = end == NULL ? text + got : end + 2;
    }
    fflush(stdout);
  }
}
