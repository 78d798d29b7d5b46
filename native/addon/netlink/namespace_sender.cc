#include "netlink/namespace_sender.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "sockets/rights.h"

#ifndef NSFS_MAGIC
#define NSFS_MAGIC 0x6e736673
#endif

namespace eventfs {

/** The inode number of the initial user namespace (include/linux/proc_ns.h). */
static constexpr ino_t kInitialUserNamespace = 0xEFFFFFFD;
/** The longest wait for the child, in seconds. */
static constexpr time_t kChildTimeoutS = 2;
/** The first port to try: no process has such a PID, and a client's own port is often its PID. */
static constexpr uint32_t kFirstPort = 0xE0000000;
static constexpr uint32_t kPorts = 64;

/** The steps of the child, in the order of kStepNames. */
enum class Step : int { enterUsers, enterNetwork, open, bind, connect, done };
static constexpr const char* kStepNames[] = {"setns", "setns", "socket", "bind", "connect"};

/** The answer of the child. */
struct Answer {
  Step step;
  int error;
};

/** Returns 0 if the descriptor is a network namespace, else an errno. */
static int checkNamespace(int fd) {
  struct statfs found;
  if (fstatfs(fd, &found) < 0) return errno;
  // First, because the ioctl may mean something else to another file
  if (found.f_type != NSFS_MAGIC) return ENOTTY;
  int type = ioctl(fd, NS_GET_NSTYPE);
  if (type < 0) return errno;
  return type == CLONE_NEWNET ? 0 : EINVAL;
}

/** Returns whether two descriptors or paths lead to the same inode. */
static bool isOwnUserNamespace(const struct stat& other) {
  struct stat own;
  return stat("/proc/self/ns/user", &own) == 0 && own.st_dev == other.st_dev &&
         own.st_ino == other.st_ino;
}

/** Sends an answer, with a descriptor if it is 0 or more. The kernel adds the credentials. */
static void reply(int to, Answer answer, int descriptor) {
  iovec part{&answer, sizeof(answer)};
  RightsControl control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) attachDescriptor(&message, &control, descriptor);
  sendmsg(to, &message, MSG_NOSIGNAL);
}

/** Binds to a free port that is no PID. */
static int bindToPort(int fd) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  for (uint32_t i = 0; i < kPorts; ++i) {
    address.nl_pid = kFirstPort + i;
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return 0;
    if (errno != EADDRINUSE) break;
  }
  return -1;
}

/**
 * Runs in the child. Only async-signal-safe calls: another thread may have held a lock at fork(2).
 * System calls that glibc would make in all threads are made directly.
 *
 * The user namespace comes first: in it the child may enter a namespace that it could not enter as
 * an ordinary user. The ids become 0 there, where 0 is mapped, so that the parent learns which ids
 * these are: clients believe only events of uid 0.
 */
static Answer enterAndOpen(int networkNamespace, int userNamespace, int* opened) {
  if (userNamespace >= 0 && setns(userNamespace, CLONE_NEWUSER) < 0) {
    return {Step::enterUsers, errno};
  }
  if (setns(networkNamespace, CLONE_NEWNET) < 0) return {Step::enterNetwork, errno};
  if (userNamespace >= 0) {
    syscall(SYS_setresgid, 0, 0, 0);
    syscall(SYS_setresuid, 0, 0, 0);
  }
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  if (fd < 0) return {Step::open, errno};
  if (bindToPort(fd) < 0) return {Step::bind, errno};
  // An error reply then has only the header of the rejected message
  int on = 1;
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel)) < 0) {
    return {Step::connect, errno};
  }
  *opened = fd;
  return {Step::done, 0};
}

/** Receives the child's answer, its credentials and the descriptor. */
static FailedCall receive(int from, NamespaceSender* sender) {
  Answer answer{};
  iovec part{&answer, sizeof(answer)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t got;
  do {
    got = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return {errno == EAGAIN ? ETIMEDOUT : errno, "recvmsg"};
  // A security module has ended the child
  if (got != sizeof(answer)) return {EPERM, "setns"};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    int fd = descriptorOf(header);
    if (fd >= 0) {
      sender->socket.reset(fd);
    } else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
      ucred child;
      memcpy(&child, CMSG_DATA(header), sizeof(child));
      sender->uid = child.uid;
      sender->gid = child.gid;
    }
  }
  if (answer.step != Step::done) return {answer.error, kStepNames[static_cast<int>(answer.step)]};
  return sender->socket ? FailedCall{} : FailedCall{EMFILE, "recvmsg"};
}

FailedCall openInNamespace(int networkNamespace, NamespaceSender* sender) {
  int error = checkNamespace(networkNamespace);
  if (error != 0) return {error, "ioctl"};
  Descriptor owner(ioctl(networkNamespace, NS_GET_USERNS));
  if (!owner) return {errno, "ioctl"};
  struct stat users;
  if (fstat(owner.get(), &users) < 0) return {errno, "fstat"};
  sender->isInitial = users.st_ino == kInitialUserNamespace;
  // A process cannot enter its own user namespace again
  int userNamespace = isOwnUserNamespace(users) ? -1 : owner.get();

  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    return {errno, "socketpair"};
  }
  Descriptor parentEnd(pair[0]);
  Descriptor childEnd(pair[1]);
  int on = 1;
  timeval timeout{kChildTimeoutS, 0};
  setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));

  pid_t child = fork();
  if (child < 0) return {errno, "fork"};
  if (child == 0) {
    int opened = -1;
    Answer answer = enterAndOpen(networkNamespace, userNamespace, &opened);
    reply(pair[1], answer, opened);
    _exit(0);
  }
  childEnd.reset();  // else the end of a killed child would not be seen
  FailedCall failed = receive(parentEnd.get(), sender);
  kill(child, SIGKILL);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return failed;
}

}  // namespace eventfs
