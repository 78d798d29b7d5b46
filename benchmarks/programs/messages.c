/* The modes that take events as messages: of a Unix socket, as passed descriptors, of netlink. */
#include "subscriber.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/un.h>

#define REBROADCAST_MASK 4
#define KEPT_BYTES (4 << 20) /* As many as a queue of eventfs. */

static char message[RECORD_BYTES_MOST + 1];

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) die("%s: path too long", path);
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket: %m");
  /* Hundreds connect at once, and the backlog of the listener fills. */
  while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    if (errno != EAGAIN && errno != EINTR) die("%s: %m", path);
    sleep_ns(NS_PER_MS);
  }
  return fd;
}

void receive_messages(struct subscriber *subscriber) {
  int fd = connect_to(subscriber->place);
  say_ready(subscriber);
  for (;;) {
    ssize_t length = read_again(fd, message, sizeof message);
    subscriber->arrived_ns = now_ns();
    if (length <= 0) die("read: %s", length < 0 ? strerror(errno) : "end of file");
    take_event(subscriber, message, (size_t)length);
  }
}

/* Returns the descriptor that comes with a message. */
static int receive_descriptor(int socket_fd) {
  union {
    char space[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec part = {.iov_base = message, .iov_len = sizeof message};
  struct msghdr header = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t length;
  do length = recvmsg(socket_fd, &header, MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  if (length <= 0) die("recvmsg: %s", length < 0 ? strerror(errno) : "end of file");
  struct cmsghdr *passed = CMSG_FIRSTHDR(&header);
  if (!passed || passed->cmsg_type != SCM_RIGHTS) die("a message without a descriptor");
  int fd;
  memcpy(&fd, CMSG_DATA(passed), sizeof fd);
  return fd;
}

void receive_descriptors(struct subscriber *subscriber) {
  int socket_fd = connect_to(subscriber->place);
  say_ready(subscriber);
  for (;;) {
    int fd = receive_descriptor(socket_fd);
    ssize_t length = pread(fd, message, sizeof message, 0);
    subscriber->arrived_ns = now_ns();
    if (length < 0) die("pread: %m");
    close(fd);
    take_event(subscriber, message, (size_t)length);
  }
}

void receive_netlink(struct subscriber *subscriber) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = REBROADCAST_MASK};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  if (fd < 0) die("socket: %m");
  int kept = KEPT_BYTES / 2; /* The kernel doubles it. */
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kept, sizeof kept) != 0)
    die("SO_RCVBUFFORCE: %m");
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind: %m");
  subscriber->learn_losses = count_missing; /* ENOBUFS does not say how much is lost. */
  say_ready(subscriber);
  for (;;) {
    ssize_t length = recv(fd, message, sizeof message, 0);
    subscriber->arrived_ns = now_ns();
    if (length < 0 && (errno == ENOBUFS || errno == EINTR)) continue;
    if (length <= 0) die("recv: %m");
    take_event(subscriber, message, (size_t)length);
  }
}
