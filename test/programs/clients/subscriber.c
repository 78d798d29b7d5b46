/*
 * Clients of `eventfs mount --socket` and `--fd-socket`, good and bad.
 *
 *   subscriber FILTER PATH          sends the filter, unless it is empty, and prints each message
 *                                   as a record: the message, or the contents of the descriptor
 *                                   that came with it, and an empty line; `end@/<errno>` at the
 *                                   end
 *   subscriber !seals PATH          prints the first descriptor's seals, its access mode, and the
 *                                   results of write(2), ftruncate(2), mmap(2) for writing and a
 *                                   second open for writing
 *   subscriber !half PATH           shuts down its side for writing first, then reads unfiltered
 *   subscriber !empty PATH          first sends the filter A==b, an empty message, the filter A==c
 *   subscriber !silent PATH         connects and never reads, until it is killed
 *   subscriber !rounds N PATH       N rounds of forbidden behavior: see `misbehave`
 */
#include "common.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { MOST_BYTES = 128 * 1024 };

static char bytes[MOST_BYTES];

static int connect_to(const char *path) {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (fd < 0) die("socket: %m");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect: %m");
  return fd;
}

/* Receives one message; *passed is the descriptor that came with it, or -1. */
static ssize_t receive(int fd, int flags, int *passed) {
  union {
    char space[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec part = {bytes, sizeof bytes};
  struct msghdr header = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = control.space,
                          .msg_controllen = sizeof control.space};
  *passed = -1;
  ssize_t got = recvmsg(fd, &header, flags | MSG_CMSG_CLOEXEC);
  struct cmsghdr *found = got < 0 ? NULL : CMSG_FIRSTHDR(&header);
  if (found != NULL && found->cmsg_type == SCM_RIGHTS)
    memcpy(passed, CMSG_DATA(found), sizeof(int));
  return got;
}

static int follow(int fd) {
  for (;;) {
    int passed;
    ssize_t got = receive(fd, 0, &passed);
    if (got <= 0) {
      printf("end@/%d\n\n", got < 0 ? errno : 0);
      return 0;
    }
    if (passed >= 0) {
      got = pread(passed, bytes, sizeof bytes, 0); /* all receivers share the position */
      close(passed);
    }
    fwrite(bytes, 1, (size_t)got, stdout);
    putchar('\n');
    fflush(stdout);
  }
}

static int show_seals(int fd) {
  int passed;
  if (receive(fd, 0, &passed) < 0 || passed < 0) die("recvmsg: %m");
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", passed);
  int seals = fcntl(passed, F_GET_SEALS);
  int flags = fcntl(passed, F_GETFL);
  int written = write(passed, "x", 1) < 0 ? errno : 0;
  int truncated = ftruncate(passed, 0) < 0 ? errno : 0;
  int mapped =
      mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, passed, 0) == MAP_FAILED ? errno : 0;
  int again = open(path, O_RDWR);
  int rewritten = again < 0 || write(again, "x", 1) < 0 ? errno : 0;
  printf("seals@/\nSEALS=%d\nACCESS=%d\nWRITE=%d\nTRUNCATE=%d\nMAP=%d\nREWRITE=%d\n\n", seals,
         flags & O_ACCMODE, written, truncated, mapped, rewritten);
  return 0;
}

/* Behaves in one of ten bad ways. */
static void misbehave(const char *path, long round) {
  int fd = connect_to(path);
  int passed;
  switch (round % 10) {
    /* Sends nothing and leaves */
    case 0: break;
    /* Sends an invalid filter, and does not wait for the reply */
    case 1: send(fd, "SUBSYSTEM==", 11, MSG_NOSIGNAL); break;
    /* Sends more than the largest filter */
    case 2: send(fd, bytes, 70 * 1024, MSG_NOSIGNAL); break;
    case 3: shutdown(fd, SHUT_WR); break;
    case 4: shutdown(fd, SHUT_RD); break;
    case 5: shutdown(fd, SHUT_RDWR); break;
    /* An empty message is a filter too */
    case 6: send(fd, "", 0, MSG_NOSIGNAL); break;
    case 7:
      send(fd, "\xff\0\xfe", 3, MSG_NOSIGNAL);
      receive(fd, 0, &passed);
      break;
    /* Takes one message and leaves the rest in the socket */
    case 8:
      receive(fd, MSG_DONTWAIT, &passed);
      if (passed >= 0) close(passed);
      break;
    /* Sends a descriptor of its own */
    case 9: {
      union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
      } control = {.align = {.cmsg_len = CMSG_LEN(sizeof(int)),
                             .cmsg_level = SOL_SOCKET,
                             .cmsg_type = SCM_RIGHTS}};
      memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
      struct iovec part = {"\n", 1};
      struct msghdr header = {.msg_iov = &part,
                              .msg_iovlen = 1,
                              .msg_control = control.space,
                              .msg_controllen = sizeof control.space};
      sendmsg(fd, &header, MSG_NOSIGNAL);
      receive(fd, 0, &passed);
      if (passed >= 0) close(passed);
    }
  }
  close(fd);
}

static int rounds(const char *path, long count) {
  memset(bytes, 'x', sizeof bytes);
  for (long round = 0; round < count; round++) misbehave(path, round);
  /* Also clients that are killed while they are connected */
  for (int i = 0; i < 50; i++) {
    pid_t child = fork_child();
    if (child == 0) {
      connect_to(path);
      for (;;) pause();
    }
    usleep(2000);
    end_child(child);
  }
  printf("done@/\n\n");
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) die("usage: subscriber FILTER|!seals|!half|!empty|!silent PATH | !rounds N PATH");
  const char *path = argv[argc - 1];
  if (strcmp(argv[1], "!rounds") == 0) return rounds(path, atol(argv[2]));
  int fd = connect_to(path);
  if (strcmp(argv[1], "!seals") == 0) return show_seals(fd);
  if (strcmp(argv[1], "!silent") == 0) {
    printf("connected@/\n\n");
    fflush(stdout);
    for (;;) pause();
  }
  if (strcmp(argv[1], "!half") == 0) shutdown(fd, SHUT_WR);
  else if (strcmp(argv[1], "!empty") == 0) {
    if (send(fd, "A==b", 4, MSG_NOSIGNAL) < 0 || send(fd, "", 0, MSG_NOSIGNAL) < 0 ||
        send(fd, "A==c", 4, MSG_NOSIGNAL) < 0)
      die("send: %m");
  } else if (argv[1][0] != '\0' && send(fd, argv[1], strlen(argv[1]), MSG_NOSIGNAL) < 0)
    die("send: %m");
  return follow(fd);
}
