#pragma once

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace eventfs {

/** struct pidfd_info of linux/pidfd.h as of Linux 6.13. Older headers lack it. */
struct PidfdInfo {
  uint64_t mask, cgroupId;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exitCode;
};
static_assert(sizeof(PidfdInfo) == 64, "PIDFD_INFO_SIZE_VER0");

/** Bits of `mask`. */
static constexpr uint64_t kPidfdInfoPid = 1 << 0;
static constexpr uint64_t kPidfdInfoCreds = 1 << 1;
static constexpr uint64_t kPidfdInfoExit = 1 << 3;

/**
 * Asks the kernel about a pidfd's process (PIDFD_GET_INFO).
 *
 * @return whether it answers; else errno says why: ESRCH for a process that has been reaped, or
 *     whose parent is outside of our PID namespace, ENOTTY or EINVAL before Linux 6.13
 */
inline bool askPidfd(int pidfd, PidfdInfo& answer) {
  constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);
  // By number: the type of the request differs between glibc and musl
  return syscall(SYS_ioctl, pidfd, kGetInfo, &answer) == 0;
}

}  // namespace eventfs
