/*
 * Reads the kernel's uevents without any filesystem, and sends uevents that only look like the
 * kernel's.
 *
 *   stream-netlink listen           prints each datagram of group 1 as a record: NULs as line ends,
 *                                   then an empty line; the first record is listening@/<port>
 *   stream-netlink groups MASK      the same for other groups, from any sender
 *   stream-netlink unicast PORT N   sends its standard input N times to one socket
 *   stream-netlink multicast MASK N sends it to groups
 *   stream-netlink kernel 0 N       makes the kernel send it, in this network namespace, with a
 *                                   SEQNUM that the kernel adds (lib/kobject_uevent.c,
 *                                   uevent_net_rcv_skb)
 */
#include "common.h"
#include <linux/netlink.h>
#include <sys/socket.h>

enum { MOST_BYTES = 64 * 1024, BUFFER_BYTES = 64 << 20 };

static char bytes[NLMSG_HDRLEN + MOST_BYTES];

__attribute__((noreturn)) static void listen_to(int fd, uint32_t groups) {
  int size = BUFFER_BYTES;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
  socklen_t length = sizeof address;
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind: %m");
  getsockname(fd, (struct sockaddr *)&address, &length);
  printf("listening@/%u\n\n", address.nl_pid);
  fflush(stdout);
  for (;;) {
    struct sockaddr_nl sender;
    socklen_t sender_length = sizeof sender;
    ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&sender, &sender_length);
    if (got < 0) die("recvfrom: %m");
    if (groups == 1 && sender.nl_pid != 0) continue;
    for (ssize_t i = 0; i < got; i++) putchar(bytes[i] == 0 ? '\n' : bytes[i]);
    putchar('\n');
    fflush(stdout);
  }
}

static void send_to(int fd, const char *how, uint32_t to, long times) {
  size_t length = fread(bytes + NLMSG_HDRLEN, 1, MOST_BYTES, stdin);
  int as_kernel = strcmp(how, "kernel") == 0;
  struct nlmsghdr header = {.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + length),
                            .nlmsg_type = NLMSG_MIN_TYPE,
                            .nlmsg_flags = NLM_F_REQUEST};
  memcpy(bytes, &header, sizeof header);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  if (strcmp(how, "multicast") == 0) address.nl_groups = to;
  else address.nl_pid = to;
  const char *start = as_kernel ? bytes : bytes + NLMSG_HDRLEN;
  size_t all = as_kernel ? NLMSG_HDRLEN + length : length;
  for (long i = 0; i < times; i++) {
    /* Some tests want a full receiver */
    if (sendto(fd, start, all, 0, (struct sockaddr *)&address, sizeof address) < 0 &&
        errno != ENOBUFS)
      die("sendto: %m");
  }
}

int main(int argc, char **argv) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  if (fd < 0) die("socket: %m");
  if (argc > 1 && strcmp(argv[1], "listen") == 0) listen_to(fd, 1);
  if (argc > 2 && strcmp(argv[1], "groups") == 0) listen_to(fd, (uint32_t)atoll(argv[2]));
  if (argc > 3) {
    send_to(fd, argv[1], (uint32_t)atoll(argv[2]), atol(argv[3]));
    return 0;
  }
  die("usage: stream-netlink listen | groups MASK | unicast PORT N | multicast MASK N | kernel 0 "
      "N");
}
