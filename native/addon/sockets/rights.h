#pragma once

#include <sys/socket.h>

#include <cstring>

namespace eventfs {

/** Room for the control message of one descriptor (SCM_RIGHTS, unix(7)). */
struct RightsControl {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
};

/** Adds a descriptor to a message that will be sent. `control` must live until then. */
inline void attachDescriptor(msghdr* message, RightsControl* control, int descriptor) {
  *control = {};
  message->msg_control = control->bytes;
  message->msg_controllen = sizeof(control->bytes);
  cmsghdr* part = CMSG_FIRSTHDR(message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(part), &descriptor, sizeof(int));
}

/** Returns the descriptor of a part of a received message; -1 for another kind of part. */
inline int descriptorOf(const cmsghdr* part) {
  if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
      part->cmsg_len < CMSG_LEN(sizeof(int))) {
    return -1;
  }
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(part), sizeof(int));
  return descriptor;
}

/** Returns the descriptor of a received message; -1 if it has none. */
inline int receivedDescriptor(msghdr* message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    int descriptor = descriptorOf(part);
    if (descriptor >= 0) return descriptor;
  }
  return -1;
}

}  // namespace eventfs
