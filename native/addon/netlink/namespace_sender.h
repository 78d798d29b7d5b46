#pragma once

#include <sys/types.h>

#include "descriptor.h"

namespace eventfs {

/** A uevent socket that a child process has made inside another network namespace. */
struct NamespaceSender {
  Descriptor socket;
  /** The user and group that are 0 in the namespace's user namespace, as this process sees them. */
  uid_t uid = 0;
  gid_t gid = 0;
  /** Whether the initial user namespace owns it: then the kernel sends events of devices there. */
  bool isInitial = false;
};

/** A system call that failed, here or in the child. */
struct FailedCall {
  int error = 0;
  const char* name = "";
};

/**
 * Makes the socket. A child process enters the namespace and sends the descriptor back
 * (SCM_RIGHTS), so that no thread of this process changes its namespace.
 *
 * @param networkNamespace a descriptor of the namespace
 * @param sender filled in on success
 * @returns error 0 on success
 */
FailedCall openInNamespace(int networkNamespace, NamespaceSender* sender);

}  // namespace eventfs
